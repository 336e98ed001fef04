//! One launch: the prepare steps, the start of init, and on failure everything taken back in reverse.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::libc;
use proffer_container::{ContainerId, FileRole, InitStep, LaunchPlan, Leaf, PayloadStep, PrepareStep};
use proffer_init::program::Op;
use proffer_init::report::{Failure, Report};

use crate::cgroups::Cgroups;
use crate::embedded::{self, out_of_the_way};
use crate::process::Process;
use crate::spawn::{self, Descriptors, LAUNCH_TIMEOUT, Place};
use crate::userns::UserNamespaces;
use crate::{DestroyError, DestroyErrors, LaunchError, exit};

/// Task output and exit records are the operator's, the task's sandbox the task's; nobody else reads them.
const FILE_MODE: u32 = 0o640;

/// A launch in progress.
pub(crate) struct Launch<'a> {
    cgroups: &'a Cgroups,
    user_namespaces: &'a UserNamespaces,
    plan: &'a LaunchPlan,
    files: Files,
    has_cgroups: bool,
    done: Vec<Done>,
}

#[derive(Default)]
struct Files {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    exit: Option<OwnedFd>,
    directory: Option<OwnedFd>,
    attach: Option<OwnedFd>,
    /// Where the older files of stdout and stderr end.
    ends: [Vec<u64>; 2],
}

/// A file or directory to take back.
enum Done {
    Directory(PathBuf),
    File(PathBuf),
}

/// Carries out a plan, and returns pid 1.
pub(crate) fn launch(
    cgroups: &Cgroups,
    init: &OwnedFd,
    user_namespaces: &UserNamespaces,
    plan: &LaunchPlan,
) -> Result<Process, LaunchError> {
    let mut launch = Launch {
        cgroups,
        user_namespaces,
        plan,
        files: Files::default(),
        has_cgroups: false,
        done: Vec::new(),
    };
    match launch.prepare().and_then(|()| launch.start(init)) {
        Ok(process) => Ok(process),
        Err(failed) => Err(failed(launch.undo())),
    }
}

/// An error that waits for what the undo has to say.
type Failed = Box<dyn FnOnce(DestroyErrors) -> LaunchError>;

impl Launch<'_> {
    fn prepare(&mut self) -> Result<(), Failed> {
        let id = &self.plan.container_id;
        self.cgroups
            .create(self.plan)
            .map_err(|source| not_created(id, source))?;
        self.has_cgroups = true;
        for step in &self.plan.prepare {
            self.step(step).map_err(|source| -> Failed {
                let step = describe(step);
                Box::new(move |undo| LaunchError::Prepare { step, source, undo })
            })?;
        }
        Ok(())
    }

    fn step(&mut self, step: &PrepareStep) -> io::Result<()> {
        let id = &self.plan.container_id;
        match step {
            PrepareStep::CreateDirectory { path, mode, owner } => {
                self.create_directory(path)?;
                give(path, *mode, *owner)
            }
            PrepareStep::OpenFile { role, path } => self.open(*role, path),
            PrepareStep::OpenOutputDirectory(path) => {
                self.files.directory = Some(out_of_the_way(File::open(path)?.into())?);
                Ok(())
            }
            PrepareStep::Listen(path) => {
                self.files.attach = Some(out_of_the_way(crate::attach::listen(path)?)?);
                self.done.push(Done::File(path.clone()));
                Ok(())
            }
            PrepareStep::CreateCgroup(leaf) => self.cgroups.create_leaf(self.plan, *leaf),
            PrepareStep::SetLimit(limit) => self.cgroups.limit(id, limit).map_err(io::Error::other),
            PrepareStep::AllowDevices(rules) => {
                self.cgroups.allow_devices(id, rules).map_err(io::Error::other)
            }
        }
    }

    fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Ok(()) => {
                self.done.push(Done::Directory(path.to_owned()));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent()
                    .map_or(Err(error), |parent| self.create_directory(parent))?;
                self.create_directory(path)
            }
            Err(error) => Err(error),
        }
    }

    fn open(&mut self, role: FileRole, path: &Path) -> io::Result<()> {
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        // Never to append: the kernel does not splice into such files.
        options.create(true).write(true).mode(FILE_MODE);
        match role {
            FileRole::Stdout => self.files.ends[0] = crate::output::ends(path)?,
            FileRole::Stderr => self.files.ends[1] = crate::output::ends(path)?,
            FileRole::ExitRecord => {
                options.truncate(true);
            }
        }
        let file = options.open(path)?;
        if is_new {
            self.done.push(Done::File(path.to_owned()));
        }
        if role == FileRole::ExitRecord {
            file.write_all_at(&exit::NOTHING, 0)?;
        }
        let file = out_of_the_way(file.into())?;
        match role {
            FileRole::Stdout => self.files.stdout = Some(file),
            FileRole::Stderr => self.files.stderr = Some(file),
            FileRole::ExitRecord => self.files.exit = Some(file),
        }
        Ok(())
    }

    fn start(&mut self, init: &OwnedFd) -> Result<Process, Failed> {
        let (process, report) = self
            .place()
            .and_then(|place| spawn::run(init, self.descriptors()?, place))
            .map_err(|source| -> Failed { Box::new(move |undo| LaunchError::Spawn { source, undo }) })?;
        let failed: Failed = match report {
            Some(Report {
                executes: true,
                failure: None,
            }) => return Ok(process),
            None => Box::new(|undo| LaunchError::TimedOut {
                after: LAUNCH_TIMEOUT,
                undo,
            }),
            Some(Report {
                failure: Some(failure),
                ..
            }) => self.failed(failure),
            Some(Report { failure: None, .. }) => Box::new(|undo| LaunchError::InitDied { undo }),
        };
        spawn::end(&process);
        Err(failed)
    }

    /// Where pid 1 is started.
    fn place(&self) -> io::Result<Place> {
        let enter = self.plan.init.iter().find_map(|step| {
            let InitStep::Enter { leaf, namespaces } = step else {
                return None;
            };
            Some((*leaf, namespaces))
        });
        let (leaf, namespaces) =
            enter.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the plan starts no pid 1"))?;
        Ok(Place {
            namespaces: crate::program::flags(namespaces),
            cgroup: self.cgroups.open(self.plan, leaf)?,
        })
    }

    fn descriptors(&mut self) -> io::Result<Descriptors> {
        // By the agent: pid 1 sees it in a mount namespace of its own, where what is open for writing keeps a mount from
        // being made read-only.
        let cgroup = self.cgroups.open(self.plan, Leaf::Task)?;
        let program = crate::program::write(self.plan, &cgroup, &self.files.ends);
        let null = File::options().read(true).open("/dev/null")?;
        let missing = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the plan opens no file for stdout, stderr or exit, or not their directory",
            )
        };
        Ok(Descriptors {
            stdin: out_of_the_way(null.into())?,
            stdout: self.files.stdout.take().ok_or_else(missing)?,
            stderr: self.files.stderr.take().ok_or_else(missing)?,
            program: embedded::file(c"proffer-program", &program)?,
            exit: self.files.exit.take().ok_or_else(missing)?,
            directory: self.files.directory.take().ok_or_else(missing)?,
            attach: self.files.attach.take(),
            user_namespace: self
                .plan
                .id_map
                .map(|map| self.user_namespaces.get(map))
                .transpose()?,
            mounts: self.user_namespaces.mounts.clone(),
            cgroups: cgroup.files,
        })
    }

    /// The failure of a step in the container: of the task's own making, or the host's.
    fn failed(&self, failure: Failure) -> Failed {
        let Failure { op, errno, subject } = failure;
        let source = io::Error::from_raw_os_error(errno);
        let program = match self.plan.payload.last() {
            Some(PayloadStep::Execute { argv, .. }) => argv.first().cloned().unwrap_or_default(),
            _ => String::new(),
        };
        match op {
            Some(Op::Execute) => {
                let reason = match errno {
                    libc::ENOENT if program.contains('/') => {
                        "no such file, or its interpreter is missing".to_owned()
                    }
                    libc::ENOENT => "not found on PATH".to_owned(),
                    _ => reason(&source),
                };
                Box::new(move |undo| LaunchError::Command {
                    program,
                    is_missing: errno == libc::ENOENT,
                    reason,
                    undo,
                })
            }
            Some(Op::ChangeDirectory) => {
                let reason = format!("its working directory `{subject}`: {}", reason(&source));
                Box::new(move |undo| LaunchError::Command {
                    program,
                    is_missing: false,
                    reason,
                    undo,
                })
            }
            // Missing, and on a host's file system nothing is made.
            Some(Op::Attach | Op::Mount | Op::MountLayers | Op::Show) if errno == libc::EROFS => {
                let step = format!("mount a volume on `{subject}`, which this host must have,");
                Box::new(move |undo| LaunchError::Container { step, source, undo })
            }
            // See do_move_mount of the kernel's fs/namespace.c.
            Some(Op::Attach | Op::Show) if errno == libc::EINVAL || errno == libc::ENOTDIR => {
                let step = format!(
                    "mount a volume on `{subject}`: a directory goes on a directory, a file on a file;"
                );
                Box::new(move |undo| LaunchError::Container { step, source, undo })
            }
            Some(Op::OpenTree) if errno == libc::ELOOP => {
                let step = format!("mount `{subject}`, which has a symbolic link in its path,");
                Box::new(move |undo| LaunchError::Container { step, source, undo })
            }
            Some(Op::MountRoot | Op::MountLayers) if errno == libc::EINVAL && self.plan.id_map.is_some() => {
                let step = format!(
                    "mount the image's layers on `{subject}` with the ids of a user namespace (does their file system map ids?)"
                );
                Box::new(move |undo| LaunchError::Container { step, source, undo })
            }
            op => {
                let step = op.map_or("read the program", Op::describe);
                let step = format!("{step} {subject}").trim_end().to_owned();
                Box::new(move |undo| LaunchError::Container { step, source, undo })
            }
        }
    }

    fn undo(self) -> DestroyErrors {
        let mut errors = DestroyErrors::default();
        if self.has_cgroups {
            // First of all, since processes that a stuck launch left there still have the files open.
            let cleared = crate::containerizer::clear(self.cgroups, &self.plan.container_id);
            errors.extend(cleared);
        }
        for done in self.done.into_iter().rev() {
            errors.note(match done {
                Done::Directory(path) => removed(&path, fs::remove_dir(&path)),
                Done::File(path) => removed(&path, fs::remove_file(&path)),
            });
        }
        errors
    }
}

fn not_created(id: &ContainerId, source: io::Error) -> Failed {
    let id = id.clone();
    if source.kind() == io::ErrorKind::AlreadyExists {
        return Box::new(move |_| LaunchError::Exists(id));
    }
    let step = format!("create the cgroups of `{id}`");
    Box::new(move |undo| LaunchError::Prepare { step, source, undo })
}

fn removed(path: &Path, outcome: io::Result<()>) -> Result<(), DestroyError> {
    outcome.map_err(|source| DestroyError::Remove {
        path: path.to_owned(),
        source,
    })
}

/// Gives a directory to a user and group of the host. Not by its path: a task may have had it before.
fn give(path: &Path, mode: u32, (uid, gid): (u32, u32)) -> io::Result<()> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let directory = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    fchown(&directory, Some(uid), Some(gid))?;
    directory.set_permissions(Permissions::from_mode(mode))
}

/// The kernel's words for an error, without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_lowercase()
}

fn describe(step: &PrepareStep) -> String {
    match step {
        PrepareStep::CreateDirectory { path, .. } => format!("create the directory `{}`", path.display()),
        PrepareStep::OpenFile { path, .. } => format!("open `{}`", path.display()),
        PrepareStep::OpenOutputDirectory(path) => format!("open `{}`", path.display()),
        PrepareStep::Listen(path) => format!("listen on `{}`", path.display()),
        PrepareStep::CreateCgroup(leaf) => format!("create the cgroup `{}`", leaf.as_str()),
        PrepareStep::SetLimit(limit) => format!("set the limit {limit:?}"),
        PrepareStep::AllowDevices(_) => "set the devices that may be used".to_owned(),
    }
}
