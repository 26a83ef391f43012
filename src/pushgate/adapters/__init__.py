"""Everything that touches a socket: ``upstream`` faces the backends, ``downstream`` the clients."""
