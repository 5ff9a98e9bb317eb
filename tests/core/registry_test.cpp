#include "core/registry.h"

#include <gtest/gtest.h>

#include "expect_error.h"

namespace panther {
namespace {

using test::expect_error;

Registry<std::function<int()>> numbers() {
  Registry<std::function<int()>> registry("number");
  registry.add("two", [] { return 2; });
  registry.add("one", [] { return 1; });
  return registry;
}

TEST(Registry, FindsWhatWasAddedInNameOrder) {
  const auto registry = numbers();
  EXPECT_EQ(registry.at("two")(), 2);
  EXPECT_TRUE(registry.contains("one"));
  EXPECT_FALSE(registry.contains("three"));
  EXPECT_EQ(registry.names(), (std::vector<std::string>{"one", "two"}));
}

TEST(Registry, UnknownNameSaysWhatIsKnown) {
  const auto registry = numbers();
  expect_error(ErrorCode::InvalidArgument, {"unknown number 'onee'", "did you mean 'one'?", "Known: one, two"},
               [&] { registry.at("onee"); });
  expect_error(ErrorCode::InvalidArgument, {"unknown number 'banana'. Known: one, two"}, [&] { registry.at("banana"); });
}

TEST(Registry, TheSameNameTwiceIsOurFault) {
  auto registry = numbers();
  expect_error(ErrorCode::Internal, {"number 'one' registered twice"}, [&] { registry.add("one", [] { return 3; }); });
}

}  // namespace
}  // namespace panther
