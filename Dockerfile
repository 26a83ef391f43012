# The gateway in a container: `docker build --tag pushgate .`, or `make image` where there is no daemon.
# How it is run, what it promises and what else it can be built on: "The image" in docs/operations.md.

# Any base with glibc or musl and Python 3.11 or later as python3, which can make virtual environments. BASE may lack
# that, and a shell, if BUILDER has the same Python in the same place.
ARG BASE=python:3.11-slim
ARG BUILDER=${BASE}

FROM ${BUILDER} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

# One environment that builds, and one without pip that is taken along.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/venv

# Each wheel by its hash, and only wheels: nothing is compiled, and nothing comes in that is not named in these files.
COPY requirements /opt/requirements
RUN /opt/build/bin/pip install --require-hashes --no-deps --only-binary :all: \
      --requirement /opt/requirements/build.txt \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-compile \
      --require-hashes --no-deps --only-binary :all: --requirement /opt/requirements/image.txt

# pushgate itself, without the network.
COPY . /opt/source
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /opt/wheels /opt/source \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-compile \
      --no-index --no-deps --find-links /opt/wheels pushgate \
 && /opt/build/bin/pip --python /opt/venv/bin/python check

# Bytecode in a tree of its own, for the standard library too: python:slim has none of it, and where nothing can be
# written each start would compile it again. It is matched with its source by content, because times do not survive
# every way in which images are built and copied.
ENV PYTHONPYCACHEPREFIX=/opt/bytecode
RUN /opt/venv/bin/python -m compileall -q -f --invalidation-mode checked-hash \
      -x '/(test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip)/' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" /opt/venv/lib

# No RUN from here on: a base without a shell will do.
FROM ${BASE}

COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/bytecode /opt/bytecode

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /etc/pushgate
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM

# Whoever builds a release says which.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="pushgate" \
      org.opencontainers.image.description="Short-polls HTTP backends that nobody can change and pushes what changed over long poll, SSE and WebSocket." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["pushgate", "health"]

ENTRYPOINT ["pushgate"]
CMD ["run", "-c", "/etc/pushgate/gateway.yaml"]
