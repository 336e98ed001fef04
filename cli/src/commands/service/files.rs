//! The service files, policy files and Kubernetes manifests that a command is given.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::failure::WrongUse;
use crate::kubernetes::{self, Object, is_dns_label, is_manifest};
use crate::spec::{PolicyFile, ServiceFile, Source, full_name, parse};

#[derive(Debug, Args)]
pub(super) struct FilesArgs {
    /// A service file, a policy file, or Kubernetes manifests, in YAML; `-` is stdin
    #[arg(
        short = 'f',
        long = "file",
        env = "PROFFER_FILE",
        value_name = "FILE",
        required = true
    )]
    files: Vec<PathBuf>,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

#[derive(Debug, Args)]
pub(super) struct NamespaceArgs {
    /// The namespace of what the files hold
    #[arg(short, long, env = "PROFFER_NAMESPACE", value_parser = namespace)]
    namespace: Option<String>,
}

fn namespace(text: &str) -> Result<String, String> {
    match is_dns_label(text) {
        true => Ok(text.to_owned()),
        false => Err("expected lower-case letters, digits and `-`, at most 63".to_owned()),
    }
}

impl FilesArgs {
    /// Reads all of them, before anything is done with one; says on stderr what they warn of.
    pub(super) fn read(&self) -> Result<Vec<Object>> {
        read(&self.files, &self.namespace)
    }
}

/// Reads files as [`FilesArgs::read`] does.
pub(super) fn read(files: &[PathBuf], namespace: &NamespaceArgs) -> Result<Vec<Object>> {
    let namespace = namespace.namespace.as_deref();
    let sources: Result<Vec<_>, _> = files.iter().map(|path| Source::read(path)).collect();
    let (manifests, others): (Vec<_>, Vec<_>) =
        sources?.into_iter().partition(|source| is_manifest(&source.text));
    let mut objects = Vec::new();
    for source in others {
        if PolicyFile::is(&source.text) {
            let mut policy = v1::NetworkPolicy::from(parse::<PolicyFile>(&source.file, &source.text)?);
            policy.name = within("policy", policy.name, namespace)?;
            objects.push(Object::Policy(policy));
            continue;
        }
        let mut spec = v1::ServiceSpec::from(parse::<ServiceFile>(&source.file, &source.text)?);
        spec.name = within("service", spec.name, namespace)?;
        objects.push(Object::Service(spec));
    }
    let manifests = kubernetes::read(&manifests, namespace)?;
    for warning in &manifests.warnings {
        eprintln!("warning: {warning}");
    }
    objects.extend(manifests.objects);
    Ok(objects)
}

/// The name of a thing in a namespace.
fn within(what: &str, name: String, namespace: Option<&str>) -> Result<String, WrongUse> {
    let Some(namespace) = namespace else {
        return Ok(name);
    };
    match name.split_once('.') {
        None => Ok(full_name(name, Some(namespace))),
        Some((_, own)) if own == namespace => Ok(name),
        Some(_) => Err(WrongUse(format!(
            "{what} `{name}` is in another namespace than `{namespace}`, which the command names"
        ))),
    }
}
