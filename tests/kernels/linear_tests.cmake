# The sketched linear layer's kernels.
panther_test(linear_test LINK panther::kernels OpenMP::OpenMP_CXX SOURCES
  activation_test.cpp fused_linear_plan_test.cpp linear_cost_model_test.cpp linear_paths_test.cpp linear_products_test.cpp grouped_linear_test.cpp)
