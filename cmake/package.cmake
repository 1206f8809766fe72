# find_package(latchkey): what `cmake --install <build folder> --component development` puts under a prefix that may be
# moved. Three targets to link; behind them the libraries of the folders, as latchkey::lk_<folder>; the headers of
# installed_headers.cmake and what those include.
include(CMakePackageConfigHelpers)

# lk_package_target(<name> lk_library …): latchkey::<name>, in the tree and for find_package.
function(lk_package_target name)
  add_library(latchkey_${name} INTERFACE)
  add_library(latchkey::${name} ALIAS latchkey_${name})
  set_property(TARGET latchkey_${name} PROPERTY EXPORT_NAME ${name})
  target_link_libraries(latchkey_${name} INTERFACE ${ARGN})
  install(TARGETS latchkey_${name} EXPORT latchkey COMPONENT development)
endfunction()

set(protocol_libraries
  lk_syntax lk_cid lk_cbor lk_car lk_mst lk_repo lk_plc lk_identity lk_lexicon lk_xrpc lk_crypto lk_base)
set(oauth_client_libraries lk_oauth_client lk_jose lk_dpop lk_pkce lk_scopes lk_store lk_web)
set(auth_libraries lk_auth lk_mail)

lk_package_target(protocol ${protocol_libraries})
lk_package_target(oauth_client ${oauth_client_libraries} latchkey_protocol)
lk_package_target(auth ${auth_libraries} latchkey_oauth_client)

set(libraries ${protocol_libraries} ${oauth_client_libraries} ${auth_libraries})
install(TARGETS ${libraries} EXPORT latchkey COMPONENT development ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/latchkey)
add_custom_target(package_libraries DEPENDS ${libraries})
add_dependencies(unit_tests package_libraries)

# Which headers those are is known only after reading them, so they are looked up when they are installed.
install(CODE "
  set(source \"${PROJECT_SOURCE_DIR}/src\")
  set(destination \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}/latchkey\")
  include(\"${PROJECT_SOURCE_DIR}/cmake/installed_headers.cmake\")
" COMPONENT development)

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/latchkey)
install(EXPORT latchkey NAMESPACE latchkey:: FILE latchkeyTargets.cmake DESTINATION ${config_folder} COMPONENT development)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/latchkeyConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/latchkeyConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/latchkeyConfigVersion.cmake
  DESTINATION ${config_folder} COMPONENT development)
