#include "runtime/checkpoint/manifest.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/crc32c.h"
#include "core/error.h"
#include "kernels/sketch/signs.h"

namespace panther::runtime {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "panther.checkpoint";
constexpr std::string_view kGenerator = "philox4x32-10";

/// 64-bit values are hexadecimal text: many JSON readers keep only 53 bits of a number.
std::string hex(std::uint64_t value, int digits) {
  char text[24];
  std::snprintf(text, sizeof text, "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

std::uint64_t from_hex(const Json& value, int digits) {
  const std::string& text = value.get_ref<const std::string&>();
  std::uint64_t result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result, 16);
  if (error != std::errc() || end != text.data() + text.size() || static_cast<int>(text.size()) != digits)
    throw std::runtime_error(concat("'", text, "' is not a number of ", digits, " hexadecimal digits"));
  return result;
}

Json layer_to_json(const LayerFacts& layer) {
  return {{"path", layer.path},
          {"kind", layer.kind},
          {"in_features", layer.in_features},
          {"out_features", layer.out_features},
          {"sketch",
           {{"kind", layer.spec.kind}, {"size", layer.spec.sketch_size}, {"init", layer.spec.init}, {"alpha", layer.spec.alpha}}},
          {"seed_key", hex(layer.seed_key, 16)},
          {"parameters", layer.parameters},
          {"dense_parameters", layer.dense_parameters},
          {"forward_flops_per_row", layer.forward_flops_per_row},
          {"backward_flops_per_row", layer.backward_flops_per_row},
          {"dense_forward_flops_per_row", layer.dense_forward_flops_per_row},
          {"saved_bytes_per_row", layer.saved_bytes_per_row}};
}

LayerFacts layer_from_json(const Json& json) {
  LayerFacts layer;
  json.at("path").get_to(layer.path);
  json.at("kind").get_to(layer.kind);
  json.at("in_features").get_to(layer.in_features);
  json.at("out_features").get_to(layer.out_features);
  const Json& sketch = json.at("sketch");
  sketch.at("kind").get_to(layer.spec.kind);
  sketch.at("size").get_to(layer.spec.sketch_size);
  sketch.at("init").get_to(layer.spec.init);
  sketch.at("alpha").get_to(layer.spec.alpha);
  layer.seed_key = from_hex(json.at("seed_key"), 16);
  json.at("parameters").get_to(layer.parameters);
  json.at("dense_parameters").get_to(layer.dense_parameters);
  json.at("forward_flops_per_row").get_to(layer.forward_flops_per_row);
  json.at("backward_flops_per_row").get_to(layer.backward_flops_per_row);
  json.at("dense_forward_flops_per_row").get_to(layer.dense_forward_flops_per_row);
  json.at("saved_bytes_per_row").get_to(layer.saved_bytes_per_row);
  return layer;
}

Json shape_to_json(const DataShape& shape) {
  return {{"vocabulary", shape.vocabulary}, {"features", shape.features}, {"sequence", shape.sequence}, {"regression", shape.regression}};
}

DataShape shape_from_json(const Json& json) {
  DataShape shape;
  json.at("vocabulary").get_to(shape.vocabulary);
  json.at("features").get_to(shape.features);
  json.at("sequence").get_to(shape.sequence);
  json.at("regression").get_to(shape.regression);
  return shape;
}

Json file_to_json(const FileSums& file) {
  Json chunks = Json::array();
  for (const std::uint32_t sum : file.chunks) chunks.push_back(hex(sum, 8));
  return {{"name", file.name}, {"bytes", file.bytes}, {"chunk_bytes", file.chunk_bytes}, {"crc32c", std::move(chunks)}};
}

FileSums file_from_json(const Json& json) {
  FileSums file;
  json.at("name").get_to(file.name);
  json.at("bytes").get_to(file.bytes);
  json.at("chunk_bytes").get_to(file.chunk_bytes);
  for (const Json& sum : json.at("crc32c")) file.chunks.push_back(static_cast<std::uint32_t>(from_hex(sum, 8)));
  if (file.name.empty() || file.name.front() == '.' || file.name.find('/') != std::string::npos)
    throw std::runtime_error(concat("'", file.name, "' is not a plain file name"));
  if (file.bytes < 0 || file.chunk_bytes < 1 ||
      file.chunks.size() != static_cast<std::uint64_t>(file.bytes / file.chunk_bytes + (file.bytes % file.chunk_bytes != 0)))
    throw std::runtime_error(concat("the checksums of '", file.name, "' do not cover its ", file.bytes, " bytes"));
  return file;
}

/// Before anything else is read, because a newer manifest may look different.
void check_versions(const Json& json, std::string_view where) {
  const int version = json.at("version").get<int>();
  if (version > kCheckpointVersion)
    fail(ErrorCode::Unsupported, "'", where, "' has checkpoint version ", version, ", this build reads up to version ", kCheckpointVersion,
         "; use a Panther at least as new as the one that wrote it (", json.value("written_by", "unknown"), ")");
  if (version < 1) throw std::runtime_error(concat("version ", version, " never existed"));
  const int signs = json.at("random").at("sign_generator_version").get<int>();
  if (signs != kSignGeneratorVersion)
    fail(ErrorCode::Unsupported, "'", where, "' was trained with sign generator version ", signs, ", this build has version ",
         kSignGeneratorVersion, "; its fixed signs would differ: use the Panther that wrote it");
  if (const auto generator = json.at("random").at("generator").get<std::string>(); generator != kGenerator)
    fail(ErrorCode::Unsupported, "'", where, "' was trained with random generator '", generator, "', this build has ", kGenerator);
}

Manifest from_json(const Json& json) {
  Manifest manifest;
  CheckpointInfo& info = manifest.info;
  json.at("step").get_to(info.step);
  json.at("position").get_to(info.position);
  json.at("optimizer_steps").get_to(info.optimizer_steps);
  json.at("nonfinite_skipped").get_to(info.nonfinite_skipped);
  info.seed = from_hex(json.at("random").at("seed"), 16);
  info.config_hash = from_hex(json.at("config_hash"), 16);
  info.shape = shape_from_json(json.at("data_shape"));
  for (const Json& layer : json.at("layers")) info.layers.push_back(layer_from_json(layer));
  for (const Json& file : json.at("files")) manifest.files.push_back(file_from_json(file));
  return manifest;
}

}  // namespace

FileSums sums_of(std::string name, std::span<const std::byte> bytes) {
  FileSums file{std::move(name), static_cast<std::int64_t>(bytes.size()), static_cast<std::int64_t>(kChunkBytes), {}};
  for (std::size_t at = 0; at < bytes.size(); at += kChunkBytes)
    file.chunks.push_back(crc32c(bytes.subspan(at, std::min(kChunkBytes, bytes.size() - at))));
  return file;
}

std::string manifest_text(const Manifest& manifest) {
  const CheckpointInfo& info = manifest.info;
  Json json{{"format", kFormat},
            {"version", kCheckpointVersion},
            {"written_by", concat("panther ", PANTHER_VERSION)},
            {"step", info.step},
            {"position", info.position},
            {"optimizer_steps", info.optimizer_steps},
            {"nonfinite_skipped", info.nonfinite_skipped},
            {"random",
             {{"generator", kGenerator}, {"seed", hex(info.seed, 16)}, {"sign_generator_version", kSignGeneratorVersion}}},
            {"config_hash", hex(info.config_hash, 16)},
            {"data_shape", shape_to_json(info.shape)},
            {"files", Json::array()},
            {"layers", Json::array()}};
  for (const FileSums& file : manifest.files) json["files"].push_back(file_to_json(file));
  for (const LayerFacts& layer : info.layers) json["layers"].push_back(layer_to_json(layer));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Manifest parse_manifest(std::string_view text, std::string_view where) {
  try {
    const Json json = Json::parse(text);
    if (json.at("format").get<std::string>() != kFormat) throw std::runtime_error(concat("\"format\" is not \"", kFormat, "\""));
    check_versions(json, where);
    return from_json(json);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(ErrorCode::Corrupt, "'", where, "' is no checkpoint manifest: ", error.what(), "; use another checkpoint");
  }
}

std::string seal_text(std::string_view manifest) {
  const std::uint32_t sum = crc32c(std::as_bytes(std::span(manifest.data(), manifest.size())));
  return concat("panther checkpoint: manifest.json ", manifest.size(), " bytes, crc32c ", hex(sum, 8), "\n");
}

}  // namespace panther::runtime
