// A TCP proxy that spoils connections: between a worker and a server it plays
// the network.
//
//   client <---- to client ----  proxy  <---- to client ---- server
//          ---- to server --->          ---- to server --->
//
// Faults are set for a direction ("flow") of all connections, those to come
// included, or strike at a given byte, so that a test can draw them from a seed
// and nothing depends on how fast the machine is.

#ifndef TESSERA_TESTS_SUPPORT_PROXY_H_
#define TESSERA_TESTS_SUPPORT_PROXY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace tessera {

enum class Flow { kToServer, kToClient };

// How a connection is ended.
enum class Cut {
  // Both sides see an orderly end; what they still send is swallowed.
  kClose,
  // Both sides see a reset, and lose what was under way.
  kReset,
  // The receiver of the flow sees its end; what is still sent in it is
  // swallowed. The other flow goes on.
  kHalfClose,
};

// Of one flow of one connection.
struct FlowLimits {
  // From when a byte comes to when it goes. Bytes on the way are bounded, so a
  // long delay also bounds the bandwidth.
  absl::Duration delay;
  int64_t bytes_per_second = 0;  // 0: as fast as it goes.
};

struct ProxyCounts {
  int connections = 0;  // Accepted, from the start.
  int open = 0;         // Now.
  int cuts = 0;         // Made by Cut and CutAfter; one for each connection.
  int64_t bytes_to_server = 0;
  int64_t bytes_to_client = 0;
};

// Runs until it is destroyed, which resets what is open. Thread-safe.
class Proxy {
 public:
  // Serves a free loopback port; each connection to it gets one of its own to
  // `server`, "127.0.0.1:port". Nobody need listen there yet: then connections
  // are reset.
  explicit Proxy(const std::string& server);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // "127.0.0.1:port".
  const std::string& address() const { return address_; }

  // For bytes that come from now on.
  void SetLimits(Flow flow, const FlowLimits& limits);

  // Moves nothing in the flow any more: the sender's buffers fill up.
  void Stall(Flow flow);

  // Takes what is sent in the flow, and its end, and forwards nothing.
  void BlackHole(Flow flow);

  // Ends a stall or a black hole. Connections that lost bytes in a black hole
  // cannot go on: they are reset.
  void Heal(Flow flow);

  // Ends all open connections, `flow` being which half of them kHalfClose
  // closes. Done when it returns.
  void CutAll(Cut cut, Flow flow = Flow::kToServer);

  // Ends the connection that forwards byte number `bytes` (at least 1) in the
  // flow, counted over all connections, right after that byte. Several wait for
  // each other: the next one's bytes count from the one before.
  void CutAfter(Flow flow, int64_t bytes, Cut cut);

  // Cuts by CutAfter that have not been made; forgets them.
  int ForgetCuts();

  ProxyCounts counts() const;

  // Waits until the counts are as wanted; false after a time that is only there
  // to end a test that hangs.
  bool Await(const std::function<bool(const ProxyCounts&)>& wanted) const;

 private:
  class Loop;

  const std::unique_ptr<Loop> loop_;
  std::string address_;
  std::thread thread_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_PROXY_H_
