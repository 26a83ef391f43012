// fan: a load generator that costs far less than any server it is turned on.
//
//   fan watch sse|ws PORT PATH N COUNT SECONDS   open N streams, say READY, wait until each has got COUNT events
//   fan hold  sse|ws PORT PATH N                 open N streams, say READY, keep them until standard input ends
//   fan churn sse|ws PORT PATH N WIDTH           N times, WIDTH at a time: connect, read the first event, close
//
// An event is whatever holds "t":<nanoseconds since the epoch>; only those stamped after READY count, so neither the
// document that a stream begins with nor a heartbeat does. The last line of output is one JSON object.

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

enum { CONNECTING, ASKED, OPEN, CLOSED };

typedef struct {
  int fd;
  unsigned char state, matched;  // how much of "t": has just been seen; a stamp may be cut in two anywhere
  unsigned got;
  long long stamp;
} Stream;

static Stream *streams;
static int poller, width, opened, failed, finished, made, pending;
static int count, total;        // events per stream to wait for; connections to make
static int is_churn, port;
static char request[1024];
static size_t request_len;
static long long ready_at, messages;
static unsigned *delays;
static size_t samples, max_samples;

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
  streams[slot] = (Stream){.fd = fd, .state = CONNECTING};
  struct epoll_event e = {.events = EPOLLOUT, .data.u32 = slot};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  made++;
  pending++;
}

static void end(Stream *s, int is_failure) {
  if (s->state < OPEN) pending--;
  failed += is_failure;
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

// Take note of a stamp; true if it ends the stream.
static int stamped(Stream *s, long long at) {
  if (is_churn) return 1;
  if (!ready_at || s->stamp <= ready_at) return 0;
  long long delay = (at - s->stamp) / 1000;
  if (samples < max_samples) delays[samples++] = delay < 0 ? 0 : delay;
  messages++;
  if (++s->got == (unsigned)count) finished++;
  return 0;
}

static void hear(Stream *s) {
  static char buffer[1 << 16];
  static const char mark[] = "\"t\":";
  ssize_t size = recv(s->fd, buffer, sizeof buffer, 0);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) { end(s, 1); return; }
  if (s->state == ASKED) { s->state = OPEN; opened++; pending--; }
  long long at = now_ns();
  for (ssize_t i = 0; i < size; i++) {
    char c = buffer[i];
    if (s->matched < 4) {
      s->matched = c == mark[s->matched] ? s->matched + 1 : c == '"';
      s->stamp = 0;
    } else if (c >= '0' && c <= '9') {
      s->stamp = s->stamp * 10 + (c - '0');
    } else {
      s->matched = 0;
      if (stamped(s, at)) { end(s, 0); return; }
    }
  }
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

static void report(double seconds, double cpu) {
  qsort(delays, samples, sizeof *delays, ascending);
  unsigned least = streams[0].got, most = 0;
  for (int i = 0; i < width; i++) {
    if (streams[i].got < least) least = streams[i].got;
    if (streams[i].got > most) most = streams[i].got;
  }
  unsigned p50 = samples ? delays[samples / 2] : 0, max = samples ? delays[samples - 1] : 0;
  unsigned p99 = samples ? delays[samples * 99 / 100] : 0;
  printf("{\"opened\":%d,\"failed\":%d,\"messages\":%lld,\"least\":%u,\"most\":%u,\"p50_us\":%u,\"p99_us\":%u,"
         "\"max_us\":%u,\"seconds\":%.3f,\"cpu\":%.3f}\n",
         opened, failed, messages, least, most, p50, p99, max, seconds, cpu);
}

int main(int argc, char **argv) {
  if (argc < 6) { fprintf(stderr, "usage: fan watch|hold|churn sse|ws PORT PATH N …\n"); return 2; }
  is_churn = !strcmp(argv[1], "churn");
  int is_hold = !strcmp(argv[1], "hold"), is_websocket = !strcmp(argv[2], "ws");
  port = atoi(argv[3]);
  total = atoi(argv[5]);
  count = argc > 6 && !is_churn ? atoi(argv[6]) : 0;
  width = is_churn ? atoi(argv[6]) : total;
  long long patience = argc > 7 ? (long long)(atof(argv[7]) * NS) : 60 * NS;
  request_len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", argv[4], port,
      is_websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                   : "Accept: text/event-stream\r\n");
  streams = calloc(width, sizeof *streams);
  max_samples = (size_t)total * count + 1;
  delays = malloc(max_samples * sizeof *delays);
  poller = epoll_create1(0);

  long long begin = now_ns();
  double cpu = cpu_seconds();
  if (is_churn) {
    while (made < width && made < total) start(made);
    while (finished < total && now_ns() < begin + patience) turn();
    report((now_ns() - begin) / 1e9, cpu_seconds() - cpu);
    return 0;
  }
  while (opened + failed < total && now_ns() < begin + patience) turn();
  ready_at = begin = now_ns();
  cpu = cpu_seconds();
  printf("READY %d\n", opened);
  fflush(stdout);
  if (is_hold) { hold(); return 0; }
  while (finished < opened && now_ns() < begin + patience) turn();
  double seconds = (now_ns() - begin) / 1e9;
  for (long long until = now_ns() + NS / 5; now_ns() < until;) turn();  // what is delivered twice comes now
  report(seconds, cpu_seconds() - cpu);
}
