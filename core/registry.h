#pragma once
// Families: one interface, one folder, one registry. Each file of a `family/` folder defines `register_<stem>(Registry&)`;
// CMake generates the function that calls them all (cmake/PantherFamily.cmake).
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace panther {

/// Factories by name, for one family. `Factory` is a std::function or a function pointer.
template <class Factory>
class Registry {
 public:
  explicit Registry(std::string family) : family_(std::move(family)) {}

  void add(std::string name, Factory factory) {
    PANTHER_CHECK(factories_.emplace(name, std::move(factory)).second, family_, " '", name, "' registered twice");
  }

  bool contains(std::string_view name) const { return factories_.find(name) != factories_.end(); }

  /// Throws InvalidArgument naming the family, the nearest name and all known names.
  const Factory& at(std::string_view name) const {
    const auto found = factories_.find(name);
    if (found != factories_.end()) return found->second;
    const std::string near = nearest(name, names());
    fail(ErrorCode::InvalidArgument, "unknown ", family_, " '", name, "'", near.empty() ? "." : concat("; did you mean '", near, "'?"),
         " Known: ", join(names()));
  }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& [name, factory] : factories_) result.push_back(name);
    return result;
  }

 private:
  std::string family_;
  std::map<std::string, Factory, std::less<>> factories_;
};

}  // namespace panther
