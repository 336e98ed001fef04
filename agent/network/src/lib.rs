//! Container networks: namespaces, bridge, published ports, CNI plugin chains.
