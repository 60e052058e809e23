//! What the prober of `inspect` says: records of one size, each followed by a text.
//!
//! The prober runs as the program of a sandbox, so whatever it says may be forged by who attacks it: its reader takes
//! a record for no more than bytes, bounds what it reads, and escapes every text.

/// A call that was not made, because it ended an earlier prober: larger than every error number of the kernel.
pub const NOT_TRIED: i32 = 4096;

/// A call that ended the process that was made for it.
pub const ENDED: i32 = 4097;

/// The longest text of a record: with its head it is written at once, or not at all (`PIPE_BUF`, pipe(7)).
pub const LONGEST_TEXT: usize = 4040;

/// How many numbers of system calls are tried.
pub const CALLS: usize = 512;

/// The parts of an inspection, in the order in which they run: what may end the prober comes late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Section {
    /// The prober's own state: ids, capabilities, limits, environment, open files.
    Own = 0,
    /// Other processes.
    Processes = 1,
    /// Shared memory, semaphores, message queues, keyrings.
    Ipc = 2,
    /// Socket families, ports, abstract sockets, routes.
    Network = 3,
    /// Every file.
    Files = 4,
    /// Features of the kernel.
    Kernel = 5,
    /// System calls by number.
    Calls = 6,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Own, Self::Processes, Self::Ipc, Self::Network, Self::Files, Self::Kernel, Self::Calls];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Processes => "processes",
            Self::Ipc => "ipc",
            Self::Network => "network",
            Self::Files => "files",
            Self::Kernel => "kernel",
            Self::Calls => "calls",
        }
    }
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A call by number is made for the first time: where the prober dies, this was why. The second number is how many
    /// forks below the first process.
    Trying = 1,
    /// A section begins.
    Begin = 2,
    /// A section has said everything.
    End = 3,
    /// The process of a section ended early: section, raw wait status.
    Died = 4,
    /// Everything is said.
    Done = 5,
    /// A piece of a file of /proc: its name, a NUL, bytes.
    Text = 6,
    /// A limit: resource, soft, hard.
    Limit = 7,
    /// A variable's name.
    Variable = 8,
    /// An open file: number; what /proc calls it.
    Open = 9,
    /// A folder that was looked through: links to nothing else; regular files and of them readable, writable and
    /// executable ones (two counts of 32 bits in a number); other files.
    Folder = 10,
    /// A file, or a folder, that is worth a word: mode, device or category, size.
    Entry = 11,
    /// Another process: its number.
    Process = 12,
    /// Something tried, by its name.
    Try = 13,
    /// A socket family: domain, type, protocol.
    Family = 14,
    /// An abstract socket that somebody listens on.
    Abstract = 15,
    /// A loopback port that somebody listens on: address family, port.
    Port = 16,
    /// A system call: number.
    Call = 17,
}

impl Kind {
    /// Every kind, so that a number can be read as one.
    pub const ALL: [Self; 17] = [
        Self::Trying,
        Self::Begin,
        Self::End,
        Self::Died,
        Self::Done,
        Self::Text,
        Self::Limit,
        Self::Variable,
        Self::Open,
        Self::Folder,
        Self::Entry,
        Self::Process,
        Self::Try,
        Self::Family,
        Self::Abstract,
        Self::Port,
        Self::Call,
    ];
}

/// Flags of [`Kind::Folder`], [`Kind::Entry`] and [`Kind::Process`].
pub mod flag {
    /// It can be read, or listed.
    pub const READ: u32 = 1;
    /// It can be written; of a folder: files can be made in it.
    pub const WRITE: u32 = 2;
    /// It can be executed.
    pub const EXECUTE: u32 = 4;
    /// setuid.
    pub const SETUID: u32 = 8;
    /// setgid, of a file that can be executed.
    pub const SETGID: u32 = 16;
    /// It has file capabilities.
    pub const CAPABILITIES: u32 = 32;
    /// Its name is that of a secret.
    pub const SECRET: u32 = 64;
    /// Its name is that of an interpreter or a compiler.
    pub const TOOL: u32 = 128;
    /// A unix socket.
    pub const SOCKET: u32 = 256;
    /// A FIFO.
    pub const FIFO: u32 = 512;
    /// A device.
    pub const DEVICE: u32 = 1024;
    /// On a mount that takes the effect of setuid away.
    pub const NOSUID: u32 = 2048;
    /// A folder.
    pub const FOLDER: u32 = 4096;
    /// Somebody answers.
    pub const ANSWERS: u32 = 8192;
    /// By the permission bits: the file system cannot make a file without a name.
    pub const BY_BITS: u32 = 16384;
    /// Not looked at to the end.
    pub const UNFINISHED: u32 = 32768;
    /// Not opened, because opening it does something.
    pub const NOT_OPENED: u32 = 65536;
    /// A mount of its own.
    pub const MOUNTED: u32 = 131_072;
}

/// Outcomes of [`Kind::Call`], in the second number; of a death the third is the signal.
pub mod outcome {
    /// It returned: `errno` says what.
    pub const RETURNED: u64 = 0;
    /// It ended the process that made it.
    pub const KILLED: u64 = 1;
    /// It was not made.
    pub const NOT_TRIED: u64 = 2;
}

/// The head of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// A [`Kind`].
    pub kind: u32,
    /// The kernel's answer; 0 where it said yes.
    pub errno: i32,
    /// Of [`flag`].
    pub flags: u32,
    /// Bytes of text that follow.
    pub length: u32,
    /// What the kind says.
    pub numbers: [u64; 3],
}

impl Head {
    /// Bytes of a head.
    pub const SIZE: usize = 40;

    /// As bytes, in the machine's own order.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let words = [self.kind, self.errno.cast_unsigned(), self.flags, self.length];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        for (place, number) in bytes[16..].chunks_exact_mut(8).zip(self.numbers) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    /// From bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let number = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let (kind, errno, flags, length) = (word(0), word(4).cast_signed(), word(8), word(12));
        Self { kind, errno, flags, length, numbers: [number(16), number(24), number(32)] }
    }
}

/// How a name is compared.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    /// The path ends with these components.
    Path(&'static str),
    /// The name begins so.
    Prefix(&'static str),
    /// The name ends so.
    Suffix(&'static str),
}

/// What holds secrets, by name, and what it is. The first that fits counts; an empty word: no secret.
pub const SECRETS: &[(Pattern, &str)] = &[
    (Pattern::Suffix(".pub"), ""),
    (Pattern::Suffix(".example"), ""),
    (Pattern::Suffix(".sample"), ""),
    (Pattern::Suffix(".template"), ""),
    (Pattern::Path("/.ssh"), "SSH keys"),
    (Pattern::Prefix("id_rsa"), "SSH key"),
    (Pattern::Prefix("id_ed25519"), "SSH key"),
    (Pattern::Prefix("id_ecdsa"), "SSH key"),
    (Pattern::Prefix("id_dsa"), "SSH key"),
    (Pattern::Prefix("ssh_host_"), "SSH host key"),
    (Pattern::Path("/.aws"), "AWS credentials"),
    (Pattern::Path("/.config/gcloud"), "Google Cloud credentials"),
    (Pattern::Path("/.azure"), "Azure credentials"),
    (Pattern::Path("/.kube"), "Kubernetes credentials"),
    (Pattern::Path("/serviceaccount/token"), "Kubernetes token"),
    (Pattern::Path("/.docker/config.json"), "registry credentials"),
    (Pattern::Path("/.config/containers/auth.json"), "registry credentials"),
    (Pattern::Path("/.gnupg"), "GnuPG keys"),
    (Pattern::Path("/.password-store"), "passwords"),
    (Pattern::Suffix(".kdbx"), "passwords"),
    (Pattern::Path("/keyrings/login.keyring"), "passwords"),
    (Pattern::Path("/.netrc"), "passwords"),
    (Pattern::Path("/.pgpass"), "passwords"),
    (Pattern::Path("/.my.cnf"), "passwords"),
    (Pattern::Path("/.git-credentials"), "Git credentials"),
    (Pattern::Path("/.config/gh/hosts.yml"), "GitHub token"),
    (Pattern::Path("/.npmrc"), "registry token"),
    (Pattern::Path("/.pypirc"), "registry token"),
    (Pattern::Path("/.cargo/credentials.toml"), "registry token"),
    (Pattern::Path("/.cargo/credentials"), "registry token"),
    (Pattern::Path("/.vault-token"), "Vault token"),
    (Pattern::Path("/.terraform.d/credentials.tfrc.json"), "Terraform token"),
    (Pattern::Path("/.mozilla"), "browser profile"),
    (Pattern::Path("/.config/google-chrome"), "browser profile"),
    (Pattern::Path("/.config/chromium"), "browser profile"),
    (Pattern::Path("/.config/BraveSoftware"), "browser profile"),
    (Pattern::Path("/.thunderbird"), "mail profile"),
    (Pattern::Path("/.bash_history"), "shell history"),
    (Pattern::Path("/.zsh_history"), "shell history"),
    (Pattern::Path("/.python_history"), "shell history"),
    (Pattern::Path("/.psql_history"), "shell history"),
    (Pattern::Path("/.env"), "environment file"),
    (Pattern::Prefix(".env."), "environment file"),
    (Pattern::Path("/etc/shadow"), "password hashes"),
    (Pattern::Path("/etc/gshadow"), "password hashes"),
    (Pattern::Path("/etc/shadow-"), "password hashes"),
    (Pattern::Path("/etc/gshadow-"), "password hashes"),
    (Pattern::Path("/etc/sudoers"), "sudo rules"),
    (Pattern::Path("/etc/krb5.keytab"), "host key"),
    (Pattern::Path("/etc/ssl/private"), "host keys"),
    (Pattern::Path("/etc/machine-id"), "machine id"),
    (Pattern::Suffix("privkey.pem"), "private key"),
    (Pattern::Suffix("-key.pem"), "private key"),
    (Pattern::Suffix(".p12"), "private key"),
    (Pattern::Suffix(".pfx"), "private key"),
    (Pattern::Suffix(".key"), "private key"),
    (Pattern::Path("/credentials.json"), "credentials"),
    (Pattern::Path("/secrets.yaml"), "credentials"),
    (Pattern::Path("/secrets.yml"), "credentials"),
    (Pattern::Suffix(".token"), "token"),
];

/// Interpreters, compilers and what fetches or debugs: as a name is, or begins and goes on with a version.
pub const TOOLS: &[&str] = &[
    "ash", "bash", "busybox", "c++", "cargo", "cc", "clang", "csh", "curl", "dash", "deno", "docker", "fish",
    "g++", "gawk", "gcc", "gdb", "git", "go", "java", "javac", "ksh", "ld", "lua", "luajit", "make", "mawk",
    "mount", "nc", "ncat", "node", "nsenter", "perl", "php", "pip", "podman", "python", "python2", "python3",
    "ruby", "rustc", "scp", "sh", "socat", "ssh", "strace", "su", "sudo", "tcc", "tcsh", "unshare", "wget",
    "zsh",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_the_pipe() {
        let head =
            Head { kind: 7, errno: -1, flags: 0x8000_0001, length: 9, numbers: [u64::MAX, 1 << 40, 3] };
        assert_eq!(Head::from_bytes(&head.to_bytes()), head);
    }

    #[test]
    fn kinds_and_sections_are_where_their_numbers_say() {
        assert!(Kind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index + 1));
        assert!(Section::ALL.iter().enumerate().all(|(index, section)| *section as usize == index));
        assert!(TOOLS.is_sorted());
    }
}
