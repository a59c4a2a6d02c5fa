// Results as text. Pure functions.

#ifndef TESSERA_WORKER_BENCH_TABLE_H_
#define TESSERA_WORKER_BENCH_TABLE_H_

#include <string>
#include <vector>

#include "worker/bench/result.h"

namespace tessera::bench {

// Lines with columns below each other, words to the left and figures to the
// right. The first row is the header; an empty row is a blank line. `is_word`
// has an entry for each column.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows,
                         const std::vector<bool>& is_word);

// "6.81", "0.164", "33.2": three digits that matter.
std::string Figure(double value);

// One line for each series, then the memory ceilings, then what was left out.
std::string FormatResult(const BenchResult& result);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_TABLE_H_
