//! How a container's payload is confined, kept beside the program of its pid 1, so that what is executed in the container
//! later is confined the same way, by whichever agent.
//!
//! It lies in memory that pid 1 has open and nobody can change, and so is there exactly as long as the container.

use std::os::unix::ffi::OsStrExt;

use proffer_container::{LaunchPlan, PayloadStep, User};
use proffer_init::program::{Op, Reader, Writer};

use crate::program::{mask, payload_step};

/// What a payload step comes to for a process that is executed later.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template {
    /// Instructions before the container's namespaces are entered: they need privileges on the host.
    limits: Vec<u8>,
    /// The capabilities that any program may have.
    bounds: u64,
    user: User,
    directory: Vec<u8>,
    /// Instructions before capabilities are dropped, and after.
    before: Vec<u8>,
    permitted: u64,
    ambient: u64,
    after: Vec<u8>,
    /// `name=value`
    pub(crate) env: Vec<Vec<u8>>,
}

impl Template {
    /// Of a plan. What makes or enters namespaces is left out.
    pub(crate) fn of(plan: &LaunchPlan) -> Self {
        let mut template = Self::default();
        let mut has_dropped = false;
        for step in &plan.payload {
            match step {
                PayloadStep::Enter
                | PayloadStep::Unshare(_)
                | PayloadStep::Mount(_)
                | PayloadStep::EnterUserNamespace => {}
                PayloadStep::OomScoreAdj(_) | PayloadStep::LimitResource(_) => {
                    append(&mut template.limits, step);
                }
                PayloadStep::BoundCapabilities(kept) => template.bounds = mask(kept),
                PayloadStep::BecomeUser(user) => template.user = user.clone(),
                PayloadStep::ChangeDirectory(path) => {
                    template.directory = path.as_os_str().as_bytes().to_vec();
                }
                PayloadStep::KeepCapabilities { permitted, ambient } => {
                    (template.permitted, template.ambient) = (mask(permitted), mask(ambient));
                    has_dropped = true;
                }
                PayloadStep::FilterCalls(_) | PayloadStep::NoNewPrivileges if has_dropped => {
                    append(&mut template.after, step);
                }
                PayloadStep::FilterCalls(_) | PayloadStep::NoNewPrivileges => {
                    append(&mut template.before, step);
                }
                PayloadStep::Execute { env, .. } => {
                    template.env = env.iter().map(|variable| variable.clone().into_bytes()).collect();
                }
            }
        }
        template
    }

    /// The user that is executed as; as another one, with what capabilities that one is due: all that there are for root,
    /// none for anybody else.
    pub(crate) fn become_user(&mut self, user: Option<User>) -> &User {
        if let Some(user) = user.filter(|user| *user != self.user) {
            self.permitted = if user.uid == 0 { self.bounds } else { 0 };
            self.ambient = 0;
            self.user = user;
        }
        &self.user
    }

    pub(crate) fn change_directory(&mut self, path: Option<String>) {
        if let Some(path) = path {
            self.directory = path.into_bytes();
        }
    }

    /// What comes before the namespaces are entered.
    pub(crate) fn write_limits(&self, writer: &mut Writer) {
        writer.0.extend(&self.limits);
    }

    pub(crate) fn write_user(&self, writer: &mut Writer) {
        writer.op(Op::BoundCapabilities).number(self.bounds);
        writer.op(Op::BecomeUser);
        write_user(&self.user, writer);
    }

    /// What comes before the command.
    pub(crate) fn write_privileges(&self, writer: &mut Writer) {
        writer.op(Op::ChangeDirectory).text(&self.directory);
        writer.0.extend(&self.before);
        writer.op(Op::KeepCapabilities);
        writer.number(self.permitted).number(self.ambient);
        writer.0.extend(&self.after);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&self.limits).number(self.bounds);
        write_user(&self.user, &mut writer);
        writer.bytes(&self.directory).bytes(&self.before);
        writer.number(self.permitted).number(self.ambient);
        writer.bytes(&self.after).list(&self.env);
        writer.0
    }

    /// `None` when the bytes are no template.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let template = Self {
            limits: reader.bytes()?.to_vec(),
            bounds: reader.number()?,
            user: read_user(&mut reader)?,
            directory: reader.bytes()?.to_vec(),
            before: reader.bytes()?.to_vec(),
            permitted: reader.number()?,
            ambient: reader.number()?,
            after: reader.bytes()?.to_vec(),
            env: {
                let n_variables = reader.length()?;
                let mut variable = || Some(reader.text()?.to_bytes().to_vec());
                (0..n_variables).map(|_| variable()).collect::<Option<_>>()?
            },
        };
        reader.0.is_empty().then_some(template)
    }
}

fn append(instructions: &mut Vec<u8>, step: &PayloadStep) {
    let mut writer = Writer(std::mem::take(instructions));
    payload_step(step, &mut writer);
    *instructions = writer.0;
}

fn write_user(user: &User, writer: &mut Writer) {
    let groups = user.groups.iter().copied().map(u64::from).collect::<Vec<_>>();
    writer
        .number(user.uid.into())
        .number(user.gid.into())
        .numbers(&groups);
}

fn read_user(reader: &mut Reader<'_>) -> Option<User> {
    let mut id = || u32::try_from(reader.number()?).ok();
    let (uid, gid) = (id()?, id()?);
    let n_groups = reader.length()?;
    let mut id = || u32::try_from(reader.number()?).ok();
    let groups = (0..n_groups).map(|_| id()).collect::<Option<_>>()?;
    Some(User { uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use proffer_types::container::{Rlimit, RlimitKind};

    use super::*;

    /// What a program's file of version 2 begins with, as the code that wrote it made it.
    const VERSION_2: &[u8] = include_bytes!("testdata/program-2");

    #[test]
    fn what_confines_a_container_of_an_earlier_agent_is_read() {
        let mut expected = Template {
            bounds: 0b1010,
            user: User {
                uid: 1000,
                gid: 100,
                groups: vec![5, 6],
            },
            directory: b"/srv".to_vec(),
            permitted: 0b1000,
            ambient: 0b10,
            env: vec![b"A=1".to_vec(), b"B=".to_vec()],
            ..Template::default()
        };
        append(&mut expected.limits, &PayloadStep::OomScoreAdj(7));
        let limit = Rlimit {
            kind: RlimitKind::Nofile,
            soft: Some(100),
            hard: None,
        };
        append(&mut expected.limits, &PayloadStep::LimitResource(limit));
        append(&mut expected.before, &PayloadStep::NoNewPrivileges);
        append(&mut expected.after, &PayloadStep::NoNewPrivileges);
        let (template, program) = proffer_init::program::split(VERSION_2).unwrap();
        assert_eq!(Template::from_bytes(template), Some(expected.clone()));
        assert_eq!(program, b"the rest");
        let written = proffer_init::program::file(&expected.to_bytes(), b"the rest");
        assert_eq!(
            written, VERSION_2,
            "another form is another version, with another fixture"
        );
    }

    #[test]
    fn a_template_reads_as_it_was_written_and_damage_is_noticed() {
        let template = Template {
            limits: vec![1, 0, 2],
            bounds: 7,
            user: User {
                uid: 1000,
                gid: 100,
                groups: vec![5, 6],
            },
            directory: b"/srv".to_vec(),
            before: vec![],
            permitted: 3,
            ambient: 1,
            after: vec![9],
            env: vec![b"A=1".to_vec(), b"B=".to_vec()],
        };
        let bytes = template.to_bytes();
        assert_eq!(Template::from_bytes(&bytes), Some(template));
        for len in 0..bytes.len() {
            assert_eq!(Template::from_bytes(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn another_user_has_the_capabilities_of_its_kind() {
        let of = |user: u32| Template {
            bounds: 0b111,
            permitted: 0b100,
            ambient: 0b100,
            user: User {
                uid: user,
                ..User::default()
            },
            ..Template::default()
        };
        let user = |uid| {
            Some(User {
                uid,
                ..User::default()
            })
        };
        for (is, becomes, permitted, ambient) in [
            (5, None, 0b100, 0b100),
            (5, user(5), 0b100, 0b100),
            (5, user(0), 0b111, 0),
            (0, user(5), 0, 0),
        ] {
            let mut template = of(is);
            template.become_user(becomes);
            assert_eq!((template.permitted, template.ambient), (permitted, ambient));
        }
    }
}
