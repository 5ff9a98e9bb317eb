#pragma once
// One list of fields per configuration struct. From it come TOML parsing, --set, help, printing, the stable hash, the
// schema, and errors that name the key, the nearest known name and file:line:column.
//
//   struct OptimConfig {
//     std::string kind = "adamw";
//     double lr = 3e-3;
//     void fields(FieldVisitor& v) {
//       v.field("kind", kind, {.help = "update rule", .choices = {"sgd", "adamw"}});
//       v.field("lr", lr, {.help = "peak learning rate", .min = 0});
//     }
//   };
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/export.h"

namespace panther {

struct FieldInfo {
  std::string help;
  std::string unit = {};                                   ///< "bytes", "seconds", "steps", "" when none
  double min = -std::numeric_limits<double>::infinity();   ///< smallest allowed number (inclusive)
  double max = std::numeric_limits<double>::infinity();    ///< largest allowed number (inclusive)
  std::vector<std::string> choices = {};                   ///< allowed strings; empty = any
};

/// What a configuration struct shows its fields to. Implementations read (TOML), write, hash or describe.
class PANTHER_CORE_API FieldVisitor {
 public:
  virtual ~FieldVisitor();

  virtual void field(std::string_view name, bool& value, const FieldInfo& info) = 0;
  virtual void field(std::string_view name, std::int64_t& value, const FieldInfo& info) = 0;
  virtual void field(std::string_view name, double& value, const FieldInfo& info) = 0;
  virtual void field(std::string_view name, std::string& value, const FieldInfo& info) = 0;
  virtual void field(std::string_view name, std::vector<double>& value, const FieldInfo& info) = 0;
  virtual void field(std::string_view name, std::vector<std::int64_t>& value, const FieldInfo& info) = 0;
  virtual void field(std::string_view name, std::vector<std::string>& value, const FieldInfo& info) = 0;

  /// A nested table `[name]`.
  template <class T>
  void section(std::string_view name, T& value, std::string_view help) {
    begin_section(name, help);
    value.fields(*this);
    end_section();
  }

  /// An array of tables `[[name]]`.
  template <class T>
  void sections(std::string_view name, std::vector<T>& values, std::string_view help) {
    array_section(name, help, ArrayAccess{
        [&] { return values.size(); },
        [&](std::size_t count) { values.resize(count); },
        [&](std::size_t i) { values[i].fields(*this); },
        [&] { T fresh{}; fresh.fields(*this); }});
  }

 protected:
  struct ArrayAccess {
    std::function<std::size_t()> size;
    std::function<void(std::size_t)> resize;
    std::function<void(std::size_t)> visit;
    std::function<void()> visit_default;  ///< one element with default values (for help and schema)
  };
  virtual void begin_section(std::string_view name, std::string_view help) = 0;
  virtual void end_section() = 0;
  virtual void array_section(std::string_view name, std::string_view help, const ArrayAccess& array) = 0;
};

}  // namespace panther
