#include <nlohmann/json.hpp>
#include <thread>

#include "core/atomic_file.h"
#include "runtime/observe/timeline.h"
#include "tests/runtime/data/temporary_folder.h"

namespace panther::runtime {
namespace {

using nlohmann::json;
using test::TemporaryFolder;

struct Trace {
  std::vector<json> ranges;
  std::map<int, std::string> threads;
  json root;
};

Trace stop_and_read(const TemporaryFolder& folder, std::int64_t* count = nullptr) {
  const auto file = folder.path() / "trace.json";
  const std::int64_t events = timeline_stop(file);
  if (count != nullptr) *count = events;
  Trace trace;
  trace.root = json::parse(read_file(file));
  for (const json& event : trace.root["traceEvents"]) {
    if (event["ph"] == "X") trace.ranges.push_back(event);
    if (event["name"] == "thread_name") trace.threads[event["tid"]] = event["args"]["name"];
  }
  return trace;
}

const json& named(const Trace& trace, const std::string& name) {
  for (const json& range : trace.ranges) {
    if (range["name"] == name) return range;
  }
  throw std::runtime_error("no range " + name);
}

double end_of(const json& range) { return range["ts"].get<double>() + range["dur"].get<double>(); }

TEST(Timeline, RangesNestOnTheirThreads) {
  const TemporaryFolder folder;
  { TimelineRange before("before the start"); }
  timeline_start(3, false);
  timeline_name_thread("training");
  {
    TimelineRange step("step", 7);
    { TimelineRange forward("forward"); }
    {
      TimelineRange backward("backward");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      std::thread([] {
        timeline_name_thread("exchange \"0\"");
        TimelineRange send("send", 1);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }).join();
    }
  }
  std::int64_t count = 0;
  const Trace trace = stop_and_read(folder, &count);
  { TimelineRange after("after the stop"); }
  EXPECT_EQ(count, 4);
  ASSERT_EQ(trace.ranges.size(), 4u);
  for (const json& range : trace.ranges) EXPECT_EQ(range["pid"], 3);
  const json &step = named(trace, "step"), &forward = named(trace, "forward"), &backward = named(trace, "backward"), &send = named(trace, "send");
  EXPECT_EQ(step["args"]["n"], 7);
  EXPECT_FALSE(forward.contains("args"));
  EXPECT_LE(step["ts"].get<double>(), forward["ts"].get<double>());
  EXPECT_LE(end_of(forward), backward["ts"].get<double>() + 1e-3);
  EXPECT_LE(end_of(backward), end_of(step) + 1e-3);
  EXPECT_GE(backward["dur"].get<double>(), 3000) << "microseconds";
  EXPECT_GE(send["ts"].get<double>(), backward["ts"].get<double>());
  EXPECT_LE(end_of(send), end_of(backward) + 1e-3);
  EXPECT_EQ(step["tid"], backward["tid"]);
  EXPECT_NE(step["tid"], send["tid"]);
  EXPECT_EQ(trace.threads.at(step["tid"]), "training");
  EXPECT_EQ(trace.threads.at(send["tid"]), "exchange \"0\"");
  EXPECT_EQ(trace.root["otherData"]["rank"], 3);
}

TEST(Timeline, ManyThreadsRecordWhileItStartsAndStops) {
  const TemporaryFolder folder;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!stop) TimelineRange range("work");
    });
  }
  for (int round = 0; round < 5; ++round) {
    timeline_start(0, round % 2 == 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::int64_t count = 0;
    const Trace trace = stop_and_read(folder, &count);
    EXPECT_EQ(static_cast<std::int64_t>(trace.ranges.size()), count);
    for (const json& range : trace.ranges) EXPECT_GE(range["dur"].get<double>(), 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(Timeline, RangesAcrossTheStartAreLeftOut) {
  const TemporaryFolder folder;
  {
    TimelineRange outer("opened while off");
    timeline_start(0, false);
    TimelineRange inner("opened while on");
  }
  auto straddling = std::make_unique<TimelineRange>("of an earlier recording");
  timeline_start(0, false);
  straddling.reset();
  { TimelineRange own("own"); }
  const Trace trace = stop_and_read(folder);
  ASSERT_EQ(trace.ranges.size(), 1u);
  EXPECT_EQ(trace.ranges[0]["name"], "own");
}

}  // namespace
}  // namespace panther::runtime
