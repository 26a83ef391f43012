// fan: a load generator that costs far less than any server it is turned on.
//
//   fan watch MODE PORT PATH N [NEXT FIELDS]   open N clients, say READY, then do what each line of input says:
//     more SECONDS    wait until each has got one event more; answers how many have not
//     report          say how it was since the last report, or since READY
//   fan hold  MODE PORT PATH N [NEXT FIELDS]   open N clients, say READY, keep them until standard input ends
//   fan churn MODE PORT PATH N WIDTH           N times, WIDTH at a time: connect, read the first event, close
//
// MODE is sse, ws, gzip (SSE whose client takes gzip), deflate (a WebSocket that offers permessage-deflate) or longpoll.
// A long poll asks for PATH, and from then on, as soon as it is answered, with the request NEXT, in which each $ stands
// for the value of the next one of FIELDS (comma-separated) of the answer: its position. READY N C: so many clients are
// open, and C of them were promised compression.
//
// An event is whatever holds "t":<nanoseconds since the epoch>; only those stamped after READY count, so neither the
// document that a stream begins with nor a heartbeat does. Every answer is one line of JSON.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define NAP 300000  // nanoseconds; by so much a delivery may seem to be late
#define MAX_PENDING 128       // handshakes under way: more would overflow a listen queue somewhere
#define STREAMS_PER_SOURCE 20000  // one source address has 28,000 ports
#define HEAD 1024             // bytes that the head of an answer may have
#define MAX_SAMPLES (1 << 22)
#define MAX_FIELDS 4

enum { CONNECTING, ASKED, OPEN, CLOSED };

typedef struct {
  int fd;
  unsigned char state, matched;  // how much of "t": has just been seen; a stamp may be cut in two anywhere
  unsigned got, missing;         // since the last report; of what is being waited for
  long long stamp;
  char *head;                    // of the answer that is being read, while it is
  int head_len;
  long body_left;                // of the answer of a long poll
} Stream;

static Stream *streams;
static int poller, width, opened, failed, made, pending, compressed;
static int lacking;             // streams that have not got what is being waited for
static int total;               // connections to make
static int is_churn, is_longpoll, finished, port;
static char request[1024], *next_request, *fields[MAX_FIELDS];
static size_t request_len;
static long long ready_at, messages;
static unsigned *delays;
static size_t samples;

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * NS + t.tv_nsec;
}

static double cpu_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int ascending(const void *a, const void *b) {
  unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
  return (x > y) - (x < y);
}

static void start(int slot) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  if (fd < 0) { perror("socket"); exit(1); }
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + slot / STREAMS_PER_SOURCE);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  bind(fd, (struct sockaddr *)&from, sizeof from);
  connect(fd, (struct sockaddr *)&to, sizeof to);
  char *head = streams[slot].head ? streams[slot].head : malloc(HEAD);
  streams[slot] = (Stream){.fd = fd, .state = CONNECTING, .head = head};
  struct epoll_event e = {.events = EPOLLOUT, .data.u32 = slot};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  made++;
  pending++;
}

static void end(Stream *s, int is_failure) {
  if (s->state < OPEN) pending--;
  failed += is_failure;
  lacking -= s->missing > 0;
  s->missing = 0;
  close(s->fd);
  s->state = CLOSED;
  if (is_churn) finished++;
  if (is_churn && made < total) start(s - streams);
}

static void ask(Stream *s) {
  if (send(s->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) { end(s, 1); return; }
  struct epoll_event e = {.events = EPOLLIN, .data.u32 = s - streams};
  epoll_ctl(poller, EPOLL_CTL_MOD, s->fd, &e);
  s->state = ASKED;
}

static void open_up(Stream *s) {
  s->state = OPEN;
  opened++;
  pending--;
}

// Take note of a stamp; true if it ends the stream.
static int stamped(Stream *s, long long at) {
  if (is_churn) return 1;
  if (!ready_at || s->stamp <= ready_at) return 0;
  long long delay = (at - s->stamp) / 1000;
  if (samples < MAX_SAMPLES) delays[samples++] = delay < 0 ? 0 : delay;
  messages++;
  s->got++;
  if (s->missing && !--s->missing) lacking--;
  return 0;
}

// Look for stamps; true if one ended the stream.
static int scan(Stream *s, const char *from, size_t size, long long at) {
  static const char mark[] = "\"t\":";
  for (const char *c = from, *last = from + size; c < last; c++) {
    if (s->matched < 4) {
      if (!s->matched && *c != '"' && !(c = memchr(c, '"', last - c))) return 0;
      s->matched = *c == mark[s->matched] ? s->matched + 1 : *c == '"';
      s->stamp = 0;
    } else if (*c >= '0' && *c <= '9') {
      s->stamp = s->stamp * 10 + (*c - '0');
    } else {
      s->matched = 0;
      if (stamped(s, at)) { end(s, 0); return 1; }
    }
  }
  return 0;
}

// Answers of long polls.

// Return where the value of a header field begins, and its length; NULL if there is none.
static const char *find(const char *head, const char *name, int *size) {
  size_t len = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
    if (strncasecmp(line + 2, name, len) || line[2 + len] != ':') continue;
    const char *value = line + 3 + len + strspn(line + 3 + len, " ");
    *size = strcspn(value, "\r");
    return value;
  }
  return NULL;
}

static int ask_on(Stream *s) {
  char text[HEAD + 512], *to = text;
  int field = 0, size = 0;
  for (const char *c = next_request; *c && to < text + HEAD; c++) {
    if (*c != '$') { *to++ = *c; continue; }
    const char *value = fields[field] ? find(s->head, fields[field++], &size) : NULL;
    if (!value || size > 256) return 0;
    memcpy(to, value, size);
    to += size;
  }
  return send(s->fd, text, to - text, MSG_NOSIGNAL) == to - text;
}

static void read_head(Stream *s) {
  int size, status = atoi(s->head + strcspn(s->head, " "));
  const char *length = find(s->head, "Content-Length", &size);
  s->body_left = length && status == 200 ? atol(length) : 0;
  if ((status != 200 && status != 204 && status != 304) || (status == 200 && !length)) {
    if (!failed) fprintf(stderr, "not an answer to a long poll:\n%s\n", s->head);
    end(s, 1);
  }
}

static void hear_answers(Stream *s, const char *data, size_t size, long long at) {
  while (size && s->state != CLOSED) {
    if (!s->body_left) {  // the head, byte by byte: its end may be cut in two
      while (size && s->head_len < HEAD - 1) {
        s->head[s->head_len++] = *data++;
        size--;
        if (s->head_len >= 4 && !memcmp(s->head + s->head_len - 4, "\r\n\r\n", 4)) break;
      }
      s->head[s->head_len] = 0;
      if (s->head_len == HEAD - 1) { end(s, 1); return; }
      if (memcmp(s->head + s->head_len - 4, "\r\n\r\n", 4)) return;
      read_head(s);
    }
    size_t here = s->body_left < (long)size ? (size_t)s->body_left : size;
    if (scan(s, data, here, at)) return;
    data += here;
    size -= here;
    s->body_left -= here;
    if (s->body_left || s->state == CLOSED) continue;
    if (!ask_on(s)) { end(s, 1); return; }
    s->head_len = s->matched = 0;
    if (s->state == ASKED) open_up(s);
  }
}

static void greet(Stream *s, const char *data, size_t size) {
  const char *body = memmem(data, size, "\r\n\r\n", 4);
  size_t len = body ? (size_t)(body - data) : size;
  compressed += memmem(data, len, "Content-Encoding: gzip", 22) || memmem(data, len, "permessage-deflate", 18);
  open_up(s);
}

static void hear(Stream *s) {
  static char buffer[1 << 17];
  ssize_t size = recv(s->fd, buffer, sizeof buffer, 0);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) { end(s, 1); return; }
  if (is_longpoll) { hear_answers(s, buffer, size, now_ns()); return; }
  if (s->state == ASKED) greet(s, buffer, size);
  scan(s, buffer, size, now_ns());
}

// Look for news, then nap. Never sleep in epoll_wait: whoever sends to a sleeping process pays for waking it up, a
// quarter of the cost of a send() and more or less of it as the scheduler likes. The clients of a real server are on
// other machines, and none of that is on its bill.
static void turn(void) {
  struct epoll_event events[256];
  while (!is_churn && made < total && pending < MAX_PENDING) start(made);
  int ready = epoll_wait(poller, events, 256, 0);
  if (!ready) nanosleep(&(struct timespec){.tv_nsec = NAP}, NULL);
  for (int i = 0; i < ready; i++) {
    Stream *s = &streams[events[i].data.u32];
    if (s->state == CONNECTING) ask(s);
    else if (s->state != CLOSED) hear(s);
  }
}

static void hold(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  char ignored[64];
  for (;;) {
    turn();
    if (poll(&input, 1, 0) > 0 && read(0, ignored, sizeof ignored) <= 0) return;
  }
}

static void wait_for_more(double seconds) {
  lacking = 0;
  for (int i = 0; i < width; i++) lacking += streams[i].missing = streams[i].state == OPEN;
  for (long long until = now_ns() + (long long)(seconds * NS); lacking && now_ns() < until;) turn();
  printf("{\"lacking\":%d}\n", lacking);
}

static void report(double seconds, double cpu) {
  qsort(delays, samples, sizeof *delays, ascending);
  unsigned least = streams[0].got, most = 0;
  for (int i = 0; i < width; i++) {
    if (streams[i].got < least) least = streams[i].got;
    if (streams[i].got > most) most = streams[i].got;
    streams[i].got = 0;
  }
  unsigned p50 = samples ? delays[samples / 2] : 0, max = samples ? delays[samples - 1] : 0;
  unsigned p99 = samples ? delays[samples * 99 / 100] : 0;
  printf("{\"opened\":%d,\"failed\":%d,\"messages\":%lld,\"least\":%u,\"most\":%u,\"p50_us\":%u,\"p99_us\":%u,"
         "\"max_us\":%u,\"seconds\":%.3f,\"cpu\":%.3f}\n",
         opened, failed, messages, least, most, p50, p99, max, seconds, cpu);
  messages = samples = 0;
}

static void watch(void) {
  char line[64];
  double seconds = 0, cpu = cpu_seconds();
  long long begin = now_ns();
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "more %lf", &seconds) == 1) {
      wait_for_more(seconds);
    } else {
      double used = cpu_seconds() - cpu, passed = (now_ns() - begin) / 1e9;
      for (long long until = now_ns() + NS / 5; now_ns() < until;) turn();  // what is delivered twice comes now
      report(passed, used);
      ready_at = begin = now_ns();
      cpu = cpu_seconds();
    }
    fflush(stdout);
  }
}

// Compose what a client says first. The key of a WebSocket's is the example of RFC 6455.
static void compose(const char *mode, const char *path) {
  int is_websocket = !strcmp(mode, "ws") || !strcmp(mode, "deflate");
  request_len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s%s\r\n", path, port,
      is_longpoll ? "Accept: application/json\r\n"
      : is_websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     : "Accept: text/event-stream\r\n",
      !strcmp(mode, "gzip") ? "Accept-Encoding: gzip\r\n" : "",
      !strcmp(mode, "deflate") ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "");
}

int main(int argc, char **argv) {
  if (argc < 6) { fprintf(stderr, "usage: fan watch|hold|churn MODE PORT PATH N …\n"); return 2; }
  is_churn = !strcmp(argv[1], "churn");
  is_longpoll = !strcmp(argv[2], "longpoll");
  port = atoi(argv[3]);
  total = atoi(argv[5]);
  width = is_churn ? atoi(argv[6]) : total;
  compose(argv[2], argv[4]);
  if (is_longpoll) {
    if (argc < 8) { fprintf(stderr, "a long poll needs NEXT and FIELDS\n"); return 2; }
    next_request = argv[6];
    int n = 0;
    for (char *name = strtok(argv[7], ","); name && n < MAX_FIELDS - 1; name = strtok(NULL, ",")) fields[n++] = name;
  }
  streams = calloc(width, sizeof *streams);
  delays = malloc(MAX_SAMPLES * sizeof *delays);
  poller = epoll_create1(0);

  long long begin = now_ns(), patience = 60 * NS;
  double cpu = cpu_seconds();
  if (is_churn) {
    while (made < width && made < total) start(made);
    while (finished < total && now_ns() < begin + patience) turn();
    report((now_ns() - begin) / 1e9, cpu_seconds() - cpu);
    return 0;
  }
  while (opened + failed < total && now_ns() < begin + patience) turn();
  ready_at = now_ns();
  printf("READY %d %d\n", opened, compressed);
  fflush(stdout);
  if (!strcmp(argv[1], "hold")) hold(); else watch();
}
