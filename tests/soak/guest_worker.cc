#include "tests/soak/guest_worker.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tessera {

GuestWorker::GuestWorker(const std::vector<std::string>& servers) {
  for (const std::string& server : servers) {
    proxies_.push_back(std::make_unique<Proxy>(server));
  }
}

void GuestWorker::Start() {
  worker_.reset();
  std::vector<std::string> addresses;
  for (const auto& proxy : proxies_) addresses.push_back(proxy->address());
  worker_ = std::make_unique<Command>(
      std::vector<std::string>{
          "worker/tessera_worker",
          absl::StrCat("--servers=", absl::StrJoin(addresses, ",")),
          absl::StrCat("--label=guest.", starts_++),
          // Or the proxies would see little of what they say.
          "--shared_memory=off"},
      NewScratchFolder() + "/guest.log");
}

void GuestWorker::CutConnections(std::mt19937_64& random) {
  for (const auto& proxy : proxies_) {
    constexpr Cut kCuts[] = {Cut::kClose, Cut::kReset, Cut::kHalfClose};
    constexpr Flow kFlows[] = {Flow::kToServer, Flow::kToClient};
    const Cut cut = kCuts[random() % 3];
    proxy->CutAll(cut, kFlows[random() % 2]);
  }
}

int64_t GuestWorker::bytes_received() const {
  int64_t bytes = 0;
  for (const auto& proxy : proxies_) bytes += proxy->counts().bytes_to_client;
  return bytes;
}

}  // namespace tessera
