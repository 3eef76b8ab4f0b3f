//! The commit that this program was built from.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// What the program is made of, from the top of the repository.
const SOURCES: [&str; 4] = ["lib", "src", "Cargo.toml", "Cargo.lock"];

/// The short name of the commit: `OOF_COMMIT` when the program was built; else that of the repository it
/// was built in, with `-dirty` where the sources are not the commit's. Empty where nobody can tell: no
/// repository, or sources that have changed since.
pub fn of_program() -> String {
    if let Some(given) = option_env!("OOF_COMMIT").filter(|given| !given.is_empty()) {
        return given.into();
    }
    let built = std::env::current_exe().and_then(|path| path.metadata()?.modified());
    let built = built.unwrap_or(SystemTime::UNIX_EPOCH);
    of_repository(Path::new(env!("CARGO_MANIFEST_DIR")), built).unwrap_or_default()
}

/// The commit in `top`, if it is what a program made at `built` was made of.
fn of_repository(top: &Path, built: SystemTime) -> Option<String> {
    let git = |arguments: &[&str]| {
        let said = Command::new("git").arg("-C").arg(top).args(arguments).output().ok()?;
        let text = said.status.success().then(|| String::from_utf8(said.stdout).ok())??;
        Some(text.trim().to_string())
    };
    if SOURCES.iter().any(|name| is_newer(&top.join(name), built)) {
        return None;
    }
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let sources = [&["status", "--porcelain", "--"][..], &SOURCES].concat();
    match git(&sources)?.as_str() {
        "" => Some(commit),
        _ => Some(commit + "-dirty"),
    }
}

/// Whether a file, or one in a folder, was written after `time`.
fn is_newer(path: &Path, time: SystemTime) -> bool {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().any(|entry| is_newer(&entry.path(), time)),
        Err(_) => path.metadata().and_then(|about| about.modified()).is_ok_and(|at| at > time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_commit_is_named_only_where_the_program_is_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        let git = |arguments: &str| {
            let mut command = Command::new("git");
            command.arg("-C").arg(top).args(["-c", "user.name=a", "-c", "user.email=a@b"]);
            command.args(arguments.split(' ')).output().is_ok_and(|said| said.status.success())
        };
        let later = SystemTime::now() + Duration::from_secs(3600);
        assert_eq!(of_repository(top, later), None);
        if !git("init -q") {
            return eprintln!("skipped: there is no git");
        }
        std::fs::create_dir(top.join("lib")).unwrap();
        std::fs::write(top.join("lib/a.rs"), "one").unwrap();
        assert!(git("add .") && git("commit -qm one"));
        let commit = of_repository(top, later).unwrap();
        assert!(commit.len() >= 7 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{commit}");
        // What is not made of the sources does not matter.
        std::fs::write(top.join("README"), "text").unwrap();
        assert_eq!(of_repository(top, later), Some(commit.clone()));
        std::fs::write(top.join("lib/a.rs"), "other").unwrap();
        assert_eq!(of_repository(top, later), Some(commit + "-dirty"));
        assert_eq!(of_repository(top, SystemTime::UNIX_EPOCH), None);
    }
}
