#include "worker/bench/help.h"

namespace tessera::bench {

const char kHelp[] =
    R"(Measures how fast gradients go up and parameters come down, and what
the machine itself can do.

  tessera_bench                                # under two minutes
  tessera_bench --operations=push,pull,push-pull --repetitions=9
  tessera_bench --sizes=4MiB --shapes=1x1,4x2 --transport=tcp --baseline
  tessera_bench --json_out=bench.json --svg_out=bench.svg
  tessera_bench --mode=scaling

WHAT RUNS. For each size and shape it starts S servers (tessera_server, with a
linear model, plain SGD) and W workers (processes that use the library which
training uses), and beside them the ceiling's and the baseline's. Everything
takes turns within each repetition: ceiling, Tessera over TCP, over shared
memory, and so on, each on connections of its own. A figure is the median over the repetitions, after a warm-up
that is not counted; min-max are over the same repetitions.

  push       a gradient goes up and is acknowledged once it is counted
  pull       the newest values come down
  push-pull  both in one round trip: the answer comes once all workers have
             pushed the step and the optimizer has run
  push, pull the same as two calls, one after the other (raw tcp only)

  tcp            payload over TCP
  shm            payload in memory that worker and server share; the values are
                 copied out of it
  shm in place   likewise, but the values are read where they lie, each of them,
                 and compared with what is right
  raw tcp        the ceiling: the same number of processes, plain sockets, the
                 same bytes, the same sums and update, nothing else: no
                 protocol, no versions, nothing that survives a lost connection
  grpc defaults  --baseline: a bytes field in a protobuf message, generated
                 stubs, no setting changed but the largest message

WHAT IS MOVED. A message is one block. All blocks of a setting together are at
least 4 and at least --set_bytes (16 MiB, so that more than a core's own caches
is touched); each worker has a gradient and an arena of values of that size,
and steps go through all blocks in order. Up to --in_flight blocks are under
way at once for each worker; the ceiling has the same blocks and as many of
them under way.

COLUMNS.
  GB/s      payload pushed plus pulled by all workers, counted as float32 (4
            bytes for each value, also where bfloat16 travels), in 10^9 bytes,
            over the time from the first worker's start to the last one's end
  of raw    over the ceiling's GB/s for the same operation in the same
            repetition; the median of these ratios
  p50, p99  microseconds from the start of one call to its end, with one call
            under way for each worker and nothing else; over all repetitions
  of raw    (the second) p50 over that of raw TCP's push followed by a pull
  CPU s/GB  user and system time of all workers and servers, while they move a
            GB; not counted with --servers_at: the servers'

One core's memcpy and acc += x are measured in the same run. n values copied
or added are 4 n bytes.

IS IT RIGHT? Every run checks what came back. Worker w pushes small integers
that depend on w and the element, so the parameters after k steps are known in
closed form, bit for bit. One value of each answer is compared while the clock
runs, and all values after it stops. A difference ends the program with
status 1. bfloat16 is lossy: values are compared with the right ones rounded.

SCALING (--mode=scaling). Parameters, servers and workers grow, one at a time.
It prints the time of a step (all blocks, push-pull, over the first --transport)
and the memory of the server that took the most:
  B/parameter  what the server says it holds, over its parameters: 4 for a
               version, 4 for the next one, 4 for the sums, and the optimizer's
               state (none here); 12 is the bound
  waiting      further sums, when most gradients waited for others at once
  peak RSS     the most that its process ever had in RAM
  rest         what that is above 12 bytes for each parameter and "waiting"
  allowed      how large the rest may be: 32 MiB for the program, and 4 MiB for
               each worker
A broken bound ends the program with status 1.

ON A CLUSTER. Write a job, start servers with it on their machines, and measure
from a worker's machine; raw servers beside them give the ceiling. Measuring
overwrites the servers' parameters, so they must run such a job (or --force).
  tessera_bench --write_job=job.textproto --sizes=1MiB --shapes=4x2
  tessera_server --job=job.textproto --shard=0 --shard_count=2 --listen=...
  tessera_bench --serve_raw=10.0.0.1:7100 --shard=0 --sizes=1MiB --shapes=4x2
  tessera_bench --shapes=4x2 --servers_at=10.0.0.1:7000,10.0.0.2:7000 \
      --raw_servers_at=10.0.0.1:7100,10.0.0.2:7100 --tls_ca=... (see below)

Exit status: 0 success, 1 something failed, a value was wrong or a bound was
broken, 2 bad flags.)";

}  // namespace tessera::bench
