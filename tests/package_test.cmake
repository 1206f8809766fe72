# Installs the package, moves it, and builds examples/ with nothing but find_package:
#   cmake -DSOURCE=… -DBUILD=… -DFOLDER=… -DOPTIONS=-D…;… -P package_test.cmake
file(REMOVE_RECURSE ${FOLDER}/first ${FOLDER}/prefix ${FOLDER}/build)

function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --component development --prefix ${FOLDER}/first)
file(RENAME ${FOLDER}/first ${FOLDER}/prefix)

# Where it was made is of no interest to whoever gets it.
file(GLOB_RECURSE texts ${FOLDER}/prefix/*.cmake ${FOLDER}/prefix/*.h)
foreach(text IN LISTS texts)
  file(STRINGS ${text} lines REGEX "_test\\.h|testing\\.h|gtest")
  file(READ ${text} content)
  foreach(place ${SOURCE} ${BUILD} ${FOLDER})
    string(FIND "${content}" "${place}" found)
    if(NOT found EQUAL -1)
      message(FATAL_ERROR "${text} names ${place}")
    endif()
  endforeach()
  if(lines)
    message(FATAL_ERROR "${text} is about tests: ${lines}")
  endif()
endforeach()

run(${CMAKE_COMMAND} -S ${SOURCE}/examples -B ${FOLDER}/build -G Ninja -DCMAKE_PREFIX_PATH=${FOLDER}/prefix ${OPTIONS})
run(${CMAKE_COMMAND} --build ${FOLDER}/build)
foreach(program login-cli bot embed beast-app)
  if(NOT EXISTS ${FOLDER}/build/${program}/${program})
    message(FATAL_ERROR "${program} was not built")
  endif()
endforeach()

# Another major or minor version is not this one.
foreach(version 0.2 1.0)
  file(WRITE ${FOLDER}/other/CMakeLists.txt "cmake_minimum_required(VERSION 3.25)\nproject(other CXX)\n"
    "find_package(latchkey ${version} QUIET)\nif(latchkey_FOUND)\n  message(FATAL_ERROR \"found\")\nendif()\n")
  run(${CMAKE_COMMAND} -S ${FOLDER}/other -B ${FOLDER}/build/other -G Ninja -DCMAKE_PREFIX_PATH=${FOLDER}/prefix ${OPTIONS})
endforeach()
# Two of the programs run, too: they say how they are called.
foreach(program login-cli bot beast-app)
  execute_process(COMMAND ${FOLDER}/build/${program}/${program} ERROR_VARIABLE words RESULT_VARIABLE result)
  if(NOT result EQUAL 2 OR NOT words MATCHES "^usage: ${program} ")
    message(FATAL_ERROR "${program}: ${result} ${words}")
  endif()
endforeach()
