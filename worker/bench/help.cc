#include "worker/bench/help.h"

namespace tessera::bench {

const char kHelp[] =
    R"(Measures how fast gradients go up and parameters come down.

  tessera_bench                                    # under two minutes
  tessera_bench --sizes=4MiB --shapes=1x1,4x2 --transport=tcp --baseline
  tessera_bench --json_out=bench.json --svg_out=bench.svg
)";

}  // namespace tessera::bench
