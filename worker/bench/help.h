// What --help prints above the flags.

#ifndef TESSERA_WORKER_BENCH_HELP_H_
#define TESSERA_WORKER_BENCH_HELP_H_

namespace tessera::bench {

extern const char kHelp[];

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_HELP_H_
