// floor: the cheapest fan-out that one thread can do, to measure others by. It speaks only as much HTTP as `fan` and
// the bench need: GET subscribes (SSE, or WebSocket if it asks for an upgrade), and POST sends its body to everybody,
// with one send() each and nothing else. A server that frames an event once and writes it once cannot cost less.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_SUBSCRIBERS 65536

enum { SSE, WEBSOCKET };

static const char *heads[] = {
    [SSE] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n",
    // The answer to the one key that `fan` sends (it is the example of RFC 6455).
    [WEBSOCKET] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05" "hello",
};

static struct { int fd, mode; } subscribers[MAX_SUBSCRIBERS];
static int subscribed;
static char input[1 << 16], frames[2][(1 << 16) + 16];

static void subscribe(int fd, int mode) {
  if (subscribed == MAX_SUBSCRIBERS) { close(fd); return; }
  subscribers[subscribed].fd = fd;
  subscribers[subscribed++].mode = mode;
  send(fd, heads[mode], strlen(heads[mode]), MSG_NOSIGNAL);
}

static void leave(int fd) {
  close(fd);
  for (int i = 0; i < subscribed; i++)
    if (subscribers[i].fd == fd) { subscribers[i] = subscribers[--subscribed]; return; }
}

static void publish(const char *body, int size) {
  int sizes[2];
  sizes[SSE] = sprintf(frames[SSE], "data: %.*s\n\n", size, body);
  char *frame = frames[WEBSOCKET];
  int head = size < 126 ? 2 : 4;  // bodies are shorter than 64 KB
  frame[0] = (char)0x81;
  frame[1] = size < 126 ? size : 126;
  if (head == 4) { frame[2] = size >> 8; frame[3] = size & 255; }
  memcpy(frame + head, body, size);
  sizes[WEBSOCKET] = head + size;
  for (int i = 0; i < subscribed; i++) {
    int mode = subscribers[i].mode;
    send(subscribers[i].fd, frames[mode], sizes[mode], MSG_NOSIGNAL);
  }
}

static void serve(int fd) {
  ssize_t size = recv(fd, input, sizeof input - 1, 0);
  if (size <= 0) { leave(fd); return; }
  input[size] = 0;
  if (!strncmp(input, "GET", 3)) { subscribe(fd, strcasestr(input, "upgrade: websocket") ? WEBSOCKET : SSE); return; }
  char *body = strstr(input, "\r\n\r\n"), *length = strcasestr(input, "content-length:");
  if (!body || !length) return;
  body += 4;
  for (long all = body - input + atol(length + 15), more; size < all; size += more) {  // a big one comes in pieces
    poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1000);
    more = all < (long)sizeof input ? recv(fd, input + size, all - size, 0) : 0;
    if (more <= 0) { leave(fd); return; }
  }
  publish(body, input + size - body);
  const char *done = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  send(fd, done, strlen(done), MSG_NOSIGNAL);
}

int main(int argc, char **argv) {
  if (argc != 2) { fprintf(stderr, "usage: floor PORT\n"); return 2; }
  int listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0), on = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) { perror("floor"); return 1; }
  struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
  for (;;) {
    int ready = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd != listener) { serve(events[i].data.fd); continue; }
      int fd = accept4(listener, 0, 0, SOCK_NONBLOCK);
      if (fd < 0) continue;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      e.data.fd = fd;
      epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
  }
}
