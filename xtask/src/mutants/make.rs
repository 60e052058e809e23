//! From a mutant to its executable: PID 1's own sources with a piece exchanged, built by its own build script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Change, Mutant, code};
use crate::failure::Failure;
use crate::{process, workspace};

/// Where a plan has just been mapped, in PID 1's code.
const MAPPED: &str = "        Ok(Self { image, header, steps })";
/// Which step is none, there.
const NO_STEP: &str = "        Some(Op::Fork | Op::Exec) | None => Err(";

/// Makes mutants, one after the other, in a folder of its own.
pub(super) struct Maker {
    folder: PathBuf,
    builder: PathBuf,
}

impl Maker {
    /// Compiles PID 1's build script, once.
    pub(super) fn new(target: &Path, worker: usize) -> Result<Self, Failure> {
        let folder = target.join(format!("mutants/{worker}"));
        fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
        let builder = folder.join("builder");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "--crate-name=builder", "-o"]).arg(&builder);
        process::read(rustc.arg(workspace::root().join("crates/init/build.rs")))?;
        Ok(Self { folder, builder })
    }

    /// The executable; `None` is PID 1 as it is. `blind`: its read-backs believe everything.
    pub(super) fn make(&self, mutant: Option<&Mutant>, blind: bool) -> Result<PathBuf, Failure> {
        let sources = self.folder.join("init");
        let _not_there_the_first_time = fs::remove_dir_all(&sources);
        for folder in ["pid1", "prober", "src", "src/sys"] {
            copy(&workspace::root().join("crates/init").join(folder), &sources.join(folder))?;
        }
        match mutant.map(|mutant| &mutant.change) {
            Some(Change::Code(pieces)) => {
                for (file, from, to) in *pieces {
                    exchange(&sources, file, from, to)?;
                }
            }
            Some(Change::Plan(body)) => change_plan(&sources, body)?,
            Some(Change::Generated(body)) => change_plan(&sources, body)?,
            None => {}
        }
        if blind {
            let (file, from, to) = code::BLIND;
            exchange(&sources, file, from, to)?;
        }
        let out = self.folder.join("out");
        let _not_there_the_first_time = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).map_err(|e| Failure::io("make", &out, &e))?;
        let mut build = Command::new(&self.builder);
        build.current_dir(&sources).env("RUSTC", "rustc").env("OUT_DIR", &out);
        let said =
            process::read(build.env("TARGET", format!("{}-unknown-linux-gnu", std::env::consts::ARCH)))?;
        let image = out.join("pid1");
        match said.lines().find(|line| line.starts_with("cargo::error")) {
            Some(error) => Err(Failure::Work(format!("a mutant does not build: {error}"))),
            None => sign(&image).map(|()| image).map_err(|e| Failure::io("sign", &out, &e)),
        }
    }
}

/// Makes it unlike every other file, another run's of the same mutant and PID 1 itself: by its bytes its processes are
/// known. What stands after the last section of an executable is not loaded (elf(5)).
fn sign(image: &Path) -> std::io::Result<()> {
    use std::io::Write as _;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut file = fs::File::options().append(true).open(image)?;
    write!(file, "mutant {} {}", std::process::id(), now.as_nanos())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(|e| Failure::io("make", to, &e))?;
    for entry in fs::read_dir(from).map_err(|e| Failure::io("read", from, &e))?.flatten() {
        if entry.path().is_file() {
            let to = to.join(entry.file_name());
            fs::copy(entry.path(), &to).map_err(|e| Failure::io("write", &to, &e))?;
        }
    }
    Ok(())
}

/// Exchanges a piece that must be there exactly once: a mutant that no longer fits its source is no mutant.
fn exchange(sources: &Path, file: &str, from: &str, to: &str) -> Result<(), Failure> {
    let path = sources.join(file);
    let text = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?;
    match text.matches(from).count() {
        1 => fs::write(&path, text.replace(from, to)).map_err(|e| Failure::io("write", &path, &e)),
        count => Err(Failure::Work(format!(
            "a mutant no longer fits crates/init/{file}: its piece is there {count} times: {from}"
        ))),
    }
}

/// Has PID 1 change every step of its plan before it looks at the first.
fn change_plan(sources: &Path, body: &str) -> Result<(), Failure> {
    let body = body.replace("gone", "step.op = GONE;");
    let change = format!(
        "        use crate::wire::{{Op, mount}};
        const GONE: u32 = 127;
        let text = |offset: u32| -> &[u8] {{
            let rest = image.get(offset as usize..).unwrap_or_default();
            CStr::from_bytes_until_nul(rest).unwrap_or_default().to_bytes()
        }};
        // SAFETY: a private, writable mapping, checked as the slice above; a mutant's.
        let changed = unsafe {{
            core::slice::from_raw_parts_mut(image.as_ptr().add(first).cast_mut().cast::<Step>(), count)
        }};
        for step in changed {{
            let (op, path) = (step.op, text(step.path));
            let (is, at) = (|wanted: Op| op == wanted as u32, |wanted: &[u8]| path == wanted);
            let _any_of_them = (&is, &at, mount::READ_ONLY, GONE);
            {body}
        }}
{MAPPED}"
    );
    exchange(sources, "pid1/plan.rs", MAPPED, &change)?;
    let none = "        None if step.op == 127 => Ok(()),\n";
    exchange(sources, "pid1/steps.rs", NO_STEP, &format!("{none}{NO_STEP}"))
}
