# embed(TARGET file...): links the files into TARGET as rows of
# `struct asset assets[]` (broker/asset.h), ended by a NULL name.
# Run at build time as a script: cmake -DOUT=... -DFILES=a;b -P embed.cmake
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
  function(embed target)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/assets.c)
    set(files)
    foreach(file ${ARGN})
      list(APPEND files ${PROJECT_SOURCE_DIR}/${file})
    endforeach()
    add_custom_command(OUTPUT ${out}
      COMMAND ${CMAKE_COMMAND} -DOUT=${out} "-DFILES=${files}" -P ${EMBED_SCRIPT}
      DEPENDS ${files} ${EMBED_SCRIPT} VERBATIM)
    target_sources(${target} PRIVATE ${out})
  endfunction()
  return()
endif()

set(text "#include \"broker/asset.h\"\n\n")
set(rows "")
set(number 0)
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(LENGTH "${hex}" length)
  math(EXPR size "${length} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND text "static const unsigned char bytes_${number}[] = {${bytes}};\n")
  string(APPEND rows "    { \"/${name}\", bytes_${number}, ${size} },\n")
  math(EXPR number "${number} + 1")
endforeach()
string(APPEND text "\nconst struct asset assets[] = {\n${rows}    { 0 },\n};\n")
file(WRITE ${OUT} "${text}")
