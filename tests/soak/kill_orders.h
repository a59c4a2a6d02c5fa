// At which points of a checkpoint's life a server is to kill itself.
//
// They come in the environment, through a launcher that knows nothing of them:
//
//   TESSERA_KILL_POINTS   NAME:PASSINGS@SHARD, several separated by commas:
//   that
//                         shard's server dies when it passes the point for that
//                         time
//   TESSERA_KILL_MARKERS  a folder: each order leaves a file there before it is
//                         carried out, and an order that has one is done with,
//                         or the server that comes back would die for ever

#ifndef TESSERA_TESTS_SOAK_KILL_ORDERS_H_
#define TESSERA_TESTS_SOAK_KILL_ORDERS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"

namespace tessera {

struct KillOrder {
  std::string point;
  int passings = 1;
  int shard = 0;
};

// "NAME:PASSINGS@SHARD".
std::string ToString(const KillOrder& order);

// Codes: INVALID_ARGUMENT for what is no order, or of a point that is none.
absl::StatusOr<std::vector<KillOrder>> ParseKillOrders(absl::string_view text);

// The file that says that an order has been carried out.
std::string MarkerOf(const std::string& folder, const KillOrder& order);

// Carries out one shard's orders. Thread-safe.
class KillOrders {
 public:
  // Those of `shard` among `orders`.
  KillOrders(const std::vector<KillOrder>& orders, int shard,
             std::string marker_folder);

  // Does not return where an order says so.
  void Pass(absl::string_view point);

 private:
  struct Pending {
    KillOrder order;
    int passed = 0;
  };

  const std::string marker_folder_;
  Mutex mutex_;
  std::vector<Pending> pending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SOAK_KILL_ORDERS_H_
