# panther_family(<target> <folder> <function> <registry type> <header>)
#
# Every <folder>/*.cpp defines `void register_<stem>(<registry type>&)` in namespace panther. This lists the folder (a new
# file is found at the next build), adds the files to <target>, and generates `void <function>(<registry type>&)` that calls
# each of them in name order.
function(panther_family target folder function registry header)
  file(GLOB members CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp")
  set(declarations "")
  set(calls "")
  foreach(member ${members})
    get_filename_component(stem ${member} NAME_WE)
    string(APPEND declarations "void register_${stem}(${registry}&);\n")
    string(APPEND calls "  register_${stem}(registry);\n")
  endforeach()
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/${function}.cpp")
  file(CONFIGURE OUTPUT ${generated} @ONLY CONTENT
"// Generated from ${folder}/ by cmake/PantherFamily.cmake.
#include \"${header}\"
namespace panther {
@declarations@
void ${function}(${registry}& registry);
void ${function}(${registry}& registry) {
@calls@}
}  // namespace panther
")
  target_sources(${target} PRIVATE ${members} ${generated})
endfunction()
