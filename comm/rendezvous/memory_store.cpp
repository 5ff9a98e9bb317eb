#include <condition_variable>
#include <map>
#include <mutex>

#include "comm/rendezvous/store.h"
#include "core/error.h"

namespace panther::comm {
namespace {

class MemoryStore final : public Store {
 public:
  void set(const std::string& key, std::string_view value) override {
    {
      const std::lock_guard lock(mutex_);
      values_.insert_or_assign(key, std::string(value));
    }
    changed_.notify_all();
  }

  std::optional<std::string> get(const std::string& key) override {
    const std::lock_guard lock(mutex_);
    const auto found = values_.find(key);
    if (found == values_.end()) return std::nullopt;
    return found->second;
  }

  std::string wait(const std::string& key, Deadline deadline) override {
    std::unique_lock lock(mutex_);
    const auto present = [&] { return values_.contains(key); };
    if (deadline.when == Deadline::never().when) {
      changed_.wait(lock, present);
    } else if (!changed_.wait_until(lock, deadline.when, present)) {
      fail(ErrorCode::Timeout, "nobody set the key '", key, "' of the memory store in time");
    }
    return values_.at(key);
  }

  std::string compare_and_set(const std::string& key, const std::optional<std::string>& expected, std::string_view desired) override {
    std::unique_lock lock(mutex_);
    const auto found = values_.find(key);
    const bool equal = found == values_.end() ? !expected.has_value() : expected == found->second;
    // A mismatch on an absent key leaves it absent; the value after the call is then the empty one.
    if (!equal) return found == values_.end() ? std::string() : found->second;
    values_.insert_or_assign(key, std::string(desired));
    lock.unlock();
    changed_.notify_all();
    return std::string(desired);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> values_;
};

}  // namespace

std::shared_ptr<Store> make_memory_store() { return std::make_shared<MemoryStore>(); }

}  // namespace panther::comm
