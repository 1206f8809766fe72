# Writes OUT, the C++ source of ui/embedded.h, from the files below ROOT.
cmake_minimum_required(VERSION 3.25)
set(count 0)
set(arrays "")

function(embed folder files function)
  set(entries "")
  foreach(file IN LISTS files)
    file(READ ${ROOT}/${folder}/${file} hex HEX)
    string(LENGTH "${hex}" length)
    if(length EQUAL 0)
      string(APPEND entries "    {\"${file}\", {}},\n")
      continue()
    endif()
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND arrays "constexpr std::uint8_t k_file_${count}[] = {${bytes}};\n")
    string(APPEND entries "    {\"${file}\", k_file_${count}},\n")
    math(EXPR count "${count} + 1")
  endforeach()
  list(LENGTH files n)
  if(n EQUAL 0)
    set(body "  return {};\n")
  else()
    set(body "  static constexpr web::EmbeddedFile files[] = {\n${entries}  };\n  return files;\n")
  endif()
  set(arrays "${arrays}" PARENT_SCOPE)
  set(count ${count} PARENT_SCOPE)
  set(${function}_body "${body}" PARENT_SCOPE)
endfunction()

embed(templates "${TEMPLATES}" templates)
embed(static "${STATIC}" static_files)
embed(messages "${MESSAGES}" messages)
embed(config "${CONFIG}" config_files)

file(WRITE ${OUT} "#include \"ui/embedded.h\"

namespace latchkey::ui {
namespace {
${arrays}}  // namespace

web::EmbeddedFiles templates() {
${templates_body}}

web::EmbeddedFiles static_files() {
${static_files_body}}

web::EmbeddedFiles messages() {
${messages_body}}

web::EmbeddedFiles config_files() {
${config_files_body}}

}  // namespace latchkey::ui
")
