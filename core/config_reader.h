#pragma once
// Reads a configuration tree into the fields of a struct. Private to core.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config_file.h"
#include "core/config_tree.h"

namespace panther::detail {

/// Visits every field once; each checks its own value, each section that nothing in it is unknown.
class ConfigReader final : public FieldVisitor {
 public:
  /// `all_keys`: every key of the struct, for "did you mean". Both must outlive the reader.
  ConfigReader(const ConfigValue& root, const std::vector<std::string>& all_keys, ConfigOrigin& origin);
  /// To be called after the visit: the root's unknown keys.
  void finish();

  void field(std::string_view name, bool& value, const FieldInfo& info) override;
  void field(std::string_view name, std::int64_t& value, const FieldInfo& info) override;
  void field(std::string_view name, double& value, const FieldInfo& info) override;
  void field(std::string_view name, std::string& value, const FieldInfo& info) override;
  void field(std::string_view name, std::vector<double>& value, const FieldInfo& info) override;
  void field(std::string_view name, std::vector<std::int64_t>& value, const FieldInfo& info) override;
  void field(std::string_view name, std::vector<std::string>& value, const FieldInfo& info) override;

 protected:
  void begin_section(std::string_view name, std::string_view help) override;
  void end_section() override;
  void array_section(std::string_view name, std::string_view help, const ArrayAccess& array) override;

 private:
  struct Frame {
    const ConfigValue* table;  ///< nullptr when the file does not have the section
    std::string key;           ///< "" for the root, else "optim" or "sketch[0]"
    std::vector<std::string> known;
  };

  /// Notes the name as known; the value given for it, or nullptr.
  const ConfigValue* given(std::string_view name);
  std::string key_of(std::string_view name) const;
  void check_unknown(const Frame& frame) const;
  void visit_element(const ConfigValue& element, const std::string& key, std::size_t index, const ArrayAccess& array);
  template <class T>
  void read_scalar(std::string_view name, T& value, const FieldInfo& info);
  template <class T>
  void read_list(std::string_view name, std::vector<T>& value, const FieldInfo& info);

  const std::vector<std::string>& all_keys_;
  ConfigOrigin& origin_;
  std::vector<Frame> frames_;
};

}  // namespace panther::detail
