//! The same rules compiled by libseccomp, which is loaded where the system has it.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd};

use ringfence_seccomp::{Arch, Filter, Violation};

use crate::Result;

/// How libseccomp orders a program.
#[derive(Clone, Copy)]
pub(crate) enum Layout {
    /// Its default: a comparison for each call, one after the other.
    Linear,
    /// `SCMP_FLTATR_CTL_OPTIMIZE` = 2: a balanced tree.
    Tree,
}

/// `struct scmp_arg_cmp`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Condition {
    argument: c_uint,
    operation: c_int,
    a: u64,
    b: u64,
}

const NOT_EQUAL: c_int = 1;
const EQUAL: c_int = 4;
const MASKED_EQUAL: c_int = 7;
const OPTIMIZE: c_int = 8;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

type Context = *mut c_void;

/// libseccomp.so.2, and the functions of it that are used.
pub(crate) struct Library {
    init: unsafe extern "C" fn(u32) -> Context,
    release: unsafe extern "C" fn(Context),
    attribute: unsafe extern "C" fn(Context, c_int, u32) -> c_int,
    add: unsafe extern "C" fn(Context, u32, c_int, c_uint, *const Condition) -> c_int,
    export: unsafe extern "C" fn(Context, c_int) -> c_int,
}

impl Library {
    pub(crate) fn open() -> Result<Self> {
        // SAFETY: the library's initialisers need nothing of us.
        let library = unsafe { libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            // SAFETY: an error has just happened, so there is a string.
            let why = unsafe { CStr::from_ptr(libc::dlerror()) };
            return Err(why.to_string_lossy().into_owned().into());
        }
        let find = |name: &CStr| {
            // SAFETY: the library stays loaded to the end.
            let found = unsafe { libc::dlsym(library, name.as_ptr().cast::<c_char>()) };
            if found.is_null() { Err(format!("libseccomp has no {name:?}")) } else { Ok(found) }
        };
        // SAFETY: the types are those of seccomp.h.
        unsafe {
            Ok(Self {
                init: std::mem::transmute::<Context, unsafe extern "C" fn(u32) -> Context>(find(
                    c"seccomp_init",
                )?),
                release: std::mem::transmute::<Context, unsafe extern "C" fn(Context)>(find(
                    c"seccomp_release",
                )?),
                attribute: std::mem::transmute::<Context, unsafe extern "C" fn(Context, c_int, u32) -> c_int>(
                    find(c"seccomp_attr_set")?,
                ),
                add: std::mem::transmute::<
                    Context,
                    unsafe extern "C" fn(Context, u32, c_int, c_uint, *const Condition) -> c_int,
                >(find(c"seccomp_rule_add_array")?),
                export: std::mem::transmute::<Context, unsafe extern "C" fn(Context, c_int) -> c_int>(find(
                    c"seccomp_export_bpf",
                )?),
            })
        }
    }

    pub(crate) fn compile(
        &self,
        filter: &Filter,
        arch: Arch,
        layout: Layout,
    ) -> Result<Vec<libc::sock_filter>> {
        let Violation::Errno(errno) = filter.on_violation else { return Err("the profile kills".into()) };
        // SAFETY: any action will do.
        let context = unsafe { (self.init)(ERRNO | u32::from(errno)) };
        if context.is_null() {
            return Err("seccomp_init failed".into());
        }
        let program = self.fill(context, filter, arch, layout).and_then(|()| self.export(context));
        // SAFETY: made above, and not used any more.
        unsafe { (self.release)(context) };
        program
    }

    fn fill(&self, context: Context, filter: &Filter, arch: Arch, layout: Layout) -> Result<()> {
        if let Layout::Tree = layout {
            // SAFETY: a live context and an attribute of seccomp.h.
            check("seccomp_attr_set", unsafe { (self.attribute)(context, OPTIMIZE, 2) })?;
        }
        for (number, alternatives) in rules(filter, arch)? {
            for conditions in alternatives {
                let (count, first) = (conditions.len() as c_uint, conditions.as_ptr());
                // SAFETY: a live context, and as many conditions as it is told.
                let added = unsafe { (self.add)(context, ALLOW, number as c_int, count, first) };
                check("seccomp_rule_add_array", added)?;
            }
        }
        Ok(())
    }

    fn export(&self, context: Context) -> Result<Vec<libc::sock_filter>> {
        // SAFETY: a name, and the new file is nobody else's.
        let mut file =
            unsafe { File::from_raw_fd(libc::memfd_create(c"filter".as_ptr(), libc::MFD_CLOEXEC)) };
        // SAFETY: a live context and an open file.
        check("seccomp_export_bpf", unsafe { (self.export)(context, file.as_raw_fd()) })?;
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        let copy = |one: &[u8]| libc::sock_filter {
            code: u16::from_ne_bytes([one[0], one[1]]),
            jt: one[2],
            jf: one[3],
            k: u32::from_ne_bytes([one[4], one[5], one[6], one[7]]),
        };
        Ok(bytes.chunks_exact(8).map(copy).collect())
    }
}

fn check(what: &str, status: c_int) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(format!("{what} failed: {status}").into()) }
}

/// What passes, as libseccomp takes it: for each number, alternatives of conditions.
///
/// libseccomp has one condition for each argument of a rule, so an ioctl that is none of two requests cannot be said:
/// it passes altogether, and the sentinel is left away. Both make libseccomp's program shorter.
fn rules(filter: &Filter, arch: Arch) -> Result<Vec<(u32, Vec<Vec<Condition>>)>> {
    let syscalls = &filter.syscalls;
    if !(syscalls.deny.is_empty() && syscalls.kill.is_empty() && syscalls.rules.is_empty()) {
        return Err("the default profile has rules that this does not translate".into());
    }
    let floor: BTreeSet<&str> = ringfence_seccomp::floor().collect();
    let mut names = BTreeSet::from(["exit", "exit_group", "restart_syscall", "rt_sigreturn"]);
    for word in &syscalls.allow {
        match ringfence_seccomp::groups().find(|(group, ..)| group == word) {
            Some((_, _, members)) => names.extend(members),
            None => names.extend([word.as_str()]),
        }
    }
    let names = names.into_iter().filter(|name| !floor.contains(name) && *name != "clone3");
    Ok(names.filter_map(|name| Some((arch.number(name)?, conditions(name)))).collect())
}

fn conditions(name: &str) -> Vec<Vec<Condition>> {
    let one = |argument, operation, a, b| vec![Condition { argument, operation, a, b }];
    let equal = |values: &[u64]| values.iter().map(|value| one(0, EQUAL, *value, 0)).collect();
    match name {
        "socket" | "socketpair" => equal(&[1, 2, 10]),
        "personality" => equal(&[0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff]),
        "clone" => vec![one(0, MASKED_EQUAL, 0x7e02_0080, 0)],
        "setrlimit" => vec![one(0, NOT_EQUAL, 4, 0)],
        "prlimit64" => vec![one(1, NOT_EQUAL, 4, 0), one(2, EQUAL, 0, 0)],
        "seccomp" => vec![one(1, MASKED_EQUAL, 8, 0)],
        _ => vec![Vec::new()],
    }
}
