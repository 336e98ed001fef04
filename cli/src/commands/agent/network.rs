//! The flags of `proffer agent` about networks.

use std::path::PathBuf;

use clap::Args;
use proffer_agent::{NetworkConfig, Subnet};

#[derive(Debug, Args)]
pub(super) struct NetworkArgs {
    /// The addresses of tasks on the agent's bridge; agents of one host need a subnet each
    #[arg(
        long,
        env = "PROFFER_BRIDGE_SUBNET",
        default_value_t,
        value_name = "ADDRESS/BITS"
    )]
    bridge_subnet: Subnet,
    /// Let the first task on the bridge switch on forwarding of packets for this host (net.ipv4.ip_forward)
    #[arg(long, env = "PROFFER_SET_IP_FORWARD")]
    set_ip_forward: bool,
    /// Where the configurations of CNI networks are
    #[arg(
        long,
        env = "PROFFER_CNI_CONFIG_DIR",
        default_value = "/etc/cni/net.d",
        value_name = "DIR"
    )]
    cni_config_dir: PathBuf,
    /// Where CNI plugins are, separated by commas
    #[arg(
        long,
        env = "PROFFER_CNI_PLUGIN_DIR",
        default_value = "/opt/cni/bin,/usr/lib/cni",
        value_delimiter = ',',
        value_name = "DIR"
    )]
    cni_plugin_dir: Vec<PathBuf>,
}

impl NetworkArgs {
    /// The daemon's own form of these flags.
    pub(super) fn config(self) -> NetworkConfig {
        NetworkConfig {
            bridge_subnet: self.bridge_subnet,
            set_ip_forward: self.set_ip_forward,
            cni_config_dir: self.cni_config_dir,
            cni_plugin_dirs: self.cni_plugin_dir,
        }
    }
}
