//! Flags of `run` for what a container can be asked for; named as users of Docker know them.

use clap::Args;

use crate::spec::{
    Capabilities, CapabilityName, Check, Device, Fetched, Image, Network, Port, Pull, Restart, RlimitBounds,
    RlimitName, SeccompChoice, TaskSpec, UserIds, Volume, ulimit,
};

/// What the task sees, may do and is given.
#[derive(Debug, Args)]
pub(super) struct ContainerArgs {
    /// Run in this image: [registry/]name[:tag][@sha256:..], oci:/path[:tag] or oci-archive:/path[:tag]
    #[arg(long, env = "PROFFER_IMAGE", value_name = "IMAGE")]
    image: Option<Image>,
    /// When the image is looked up at its source again
    #[arg(long, env = "PROFFER_PULL", value_name = "WHEN", requires = "image")]
    pull: Option<Pull>,
    /// A program in place of the image's entrypoint
    #[arg(long, env = "PROFFER_ENTRYPOINT", value_name = "PROGRAM", requires = "image")]
    entrypoint: Option<String>,
    /// Run as this user, by name or number, and group
    #[arg(short, long, env = "PROFFER_USER", value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Mount a file or directory of the agent's host; may be given several times
    #[arg(short, long, env = "PROFFER_VOLUME", value_name = "HOST:PATH[:ro]", value_parser = Volume::host)]
    volume: Vec<Volume>,
    /// Mount a file system in memory, half of the task's unless it says how large; may be given several times
    #[arg(long, env = "PROFFER_TMPFS", value_name = "PATH[:SIZE]", value_parser = Volume::tmpfs)]
    tmpfs: Vec<Volume>,
    /// Mount a secret of the agent as a file; may be given several times
    #[arg(long, env = "PROFFER_SECRET", value_name = "NAME:PATH", value_parser = Volume::secret)]
    secret: Vec<Volume>,
    /// host, none, bridge or cni:NAME; absent means bridge with --publish, else host
    #[arg(long, env = "PROFFER_NETWORK", value_name = "NETWORK")]
    network: Option<Network>,
    /// Publish a port of the task on a port of the host, any unless it says which; may be given several times
    #[arg(short, long, env = "PROFFER_PUBLISH", value_name = "[HOST:]CONTAINER[/udp]")]
    publish: Vec<Port>,
    /// Start the task again on its agent when it ends: never, failure[:MAX] or always[:MAX]
    #[arg(long, env = "PROFFER_RESTART", value_name = "WHEN", default_value = "never")]
    restart: Restart,
    /// A line of shell that succeeds while the task is healthy; run in the container every 10 s
    #[arg(long, env = "PROFFER_HEALTH_CMD", value_name = "LINE", value_parser = Check::shell)]
    health_cmd: Option<Check>,
    /// Give a capability that tasks do not have; may be given several times
    #[arg(long, env = "PROFFER_CAP_ADD", value_name = "CAPABILITY")]
    cap_add: Vec<CapabilityName>,
    /// Take a capability that tasks have, or ALL; may be given several times
    #[arg(long, env = "PROFFER_CAP_DROP", value_name = "CAPABILITY")]
    cap_drop: Vec<CapabilityName>,
    /// Give a device of the host; may be given several times
    #[arg(long, env = "PROFFER_DEVICE", value_name = "PATH[:rwm]")]
    device: Vec<Device>,
    /// Let nothing be written to the image's files
    #[arg(long, env = "PROFFER_READ_ONLY")]
    read_only: bool,
    /// Bound each process, see setrlimit(2); may be given several times
    #[arg(long, env = "PROFFER_ULIMIT", value_name = "NAME=SOFT[:HARD]", value_parser = ulimit)]
    ulimit: Vec<(RlimitName, RlimitBounds)>,
    /// Whose user ids the task has
    #[arg(long, env = "PROFFER_USER_NAMESPACE", value_name = "WHOSE")]
    user_namespace: Option<UserIds>,
    /// The filter of system calls: default, unconfined, or the name of a profile of the agent
    #[arg(long, env = "PROFFER_SECCOMP", value_name = "PROFILE")]
    seccomp: Option<SeccompChoice>,
    /// Put a file into the sandbox before the task starts; may be given several times
    #[arg(long, env = "PROFFER_FETCH", value_name = "URI")]
    fetch: Vec<Fetched>,
}

impl ContainerArgs {
    /// Adds what the flags say to a task whose command is what follows them.
    pub(super) fn add_to(&self, task: &mut TaskSpec) {
        if self.image.is_some() {
            task.arguments = std::mem::take(&mut task.command);
            task.command = self.entrypoint.iter().cloned().collect();
        }
        task.image = self
            .image
            .clone()
            .map(|image| image.pulled(self.pull.unwrap_or_default()));
        task.user = self.user.clone();
        let volumes = self.volume.iter().chain(&self.tmpfs).chain(&self.secret);
        task.volumes = volumes.cloned().collect();
        task.network = self.network.clone();
        task.ports = self.publish.clone();
        task.restart = self.restart;
        task.health = self.health_cmd.clone();
        task.capabilities = Capabilities {
            add: self.cap_add.clone(),
            drop: self.cap_drop.clone(),
        };
        task.devices = self.device.clone();
        task.read_only = self.read_only;
        task.rlimits = self.ulimit.iter().copied().collect();
        task.user_namespace = self.user_namespace;
        task.seccomp = self.seccomp.clone();
        task.fetch = self.fetch.clone();
    }
}
