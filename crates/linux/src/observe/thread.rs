//! The thread that listens.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_init::abi::Notification;
use ringfence_init::sys::{self, Errno, Fd};
use ringfence_policy::{Denial, DenialKind, Denials};
use ringfence_seccomp::{Answers, Filter, Said};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::calls::{self, Says, Want};
use super::files::View;
use super::network::{self, Address};
use super::process::{Caller, Status};
use super::{Observed, Shared, error, remedy, words};
use crate::filter::NATIVE;
use crate::layout::Layout;
use crate::plan::Plan;
use crate::relay::timespec;

/// How long a process may take to die of the signal that its call got it.
const DYING: Duration = Duration::from_millis(100);

/// How likely something is the cause of a failure. What a program only asks about, or does without, is unlikely.
mod weight {
    pub(super) const KILLED: i32 = 1000;
    pub(super) const CHANGE: i32 = 600;
    pub(super) const CALL: i32 = 500;
    pub(super) const NETWORK: i32 = 450;
    pub(super) const READ: i32 = 400;
    pub(super) const LOOK: i32 = 150;
    pub(super) const QUESTION: i32 = 60;
    pub(super) const NAMED_IN_THE_COMMAND: i32 = 350;
    pub(super) const SETTINGS: i32 = -350;
}

pub(super) struct Thread {
    socket: Option<OwnedFd>,
    listener: Option<OwnedFd>,
    shared: Arc<Shared>,
    answers: Answers,
    filter: Filter,
    network_off: bool,
    capabilities: u64,
    layout: Option<Layout>,
    words: Vec<PathBuf>,
    home: Option<PathBuf>,
    view: Option<View>,
    /// The program's own exec was let through.
    executed: bool,
    /// What would allow a call, by its words: found once for each.
    remedies: BTreeMap<String, Option<String>>,
    /// Nobody listens any more.
    lost: bool,
    /// Processes that a signal ends, if they do not see to it that it does not.
    dying: Vec<(Instant, i32, OwnedFd)>,
}

/// What a call names, read while it waits.
enum Seen {
    Nothing,
    File { named: PathBuf, absolute: PathBuf, want: Want, link: bool },
    Address(Address, bool),
}

impl Thread {
    pub(super) fn new(plan: &Plan, observed: &Observed, socket: OwnedFd, shared: Arc<Shared>) -> Self {
        let home = plan.environment.iter().find(|(name, _)| name == "HOME").map(|(_, home)| home.into());
        Self {
            socket: Some(socket),
            listener: None,
            shared,
            answers: Answers::of(&observed.filter, NATIVE),
            filter: observed.filter.clone(),
            network_off: observed.network_off,
            capabilities: plan.capabilities,
            layout: Some(plan.layout.clone()),
            words: plan.arguments.iter().skip(1).map(PathBuf::from).collect(),
            home,
            view: None,
            executed: false,
            remedies: BTreeMap::new(),
            lost: false,
            dying: Vec::new(),
        }
    }

    /// Until nobody is left who could ask, or it is over.
    pub(super) fn run(mut self) {
        while self.turn() {}
    }

    fn turn(&mut self) -> bool {
        let Some(asks) = self.listener.as_ref().or(self.socket.as_ref()) else { return false };
        let mut files = [PollFd::new(&self.shared.over, PollFlags::IN), PollFd::new(asks, PollFlags::IN)];
        let next = self.dying.iter().map(|(at, ..)| at.saturating_duration_since(Instant::now())).min();
        match poll(&mut files, next.map(timespec).as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return self.lose(errno.raw_os_error()),
        }
        let [over, ready] = [files[0].revents(), files[1].revents()];
        self.kill_the_dying();
        if !over.is_empty() {
            return false;
        }
        match (ready.contains(PollFlags::IN), self.listener.is_some()) {
            (true, true) => self.hear(),
            (true, false) => self.take_listener(),
            (false, _) => ready.is_empty(),
        }
    }

    fn take_listener(&mut self) -> bool {
        let Some(socket) = self.socket.take() else { return false };
        let mut came = sys::receive(Fd(socket.as_raw_fd()), &mut [0]);
        if matches!(came, Ok((_, None)) | Err(Errno(libc::EINTR))) {
            // An end is an end whenever it is asked for.
            came = sys::receive(Fd(socket.as_raw_fd()), &mut [0]);
        }
        let file = match came {
            Ok((_, Some(file))) => file,
            // The set-up ended before there was one, and says why itself.
            Ok((_, None)) => return false,
            Err(Errno(errno)) => return self.lose(errno),
        };
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows its number.
        self.listener = Some(unsafe { OwnedFd::from_raw_fd(file.0) });
        true
    }

    fn fd(&self) -> Fd {
        self.listener.as_ref().map_or(Fd(-1), |file| Fd(file.as_raw_fd()))
    }

    fn hear(&mut self) -> bool {
        let call = match sys::next_notification(self.fd()) {
            Ok(call) => call,
            // It was interrupted before it could be read.
            Err(Errno(libc::ENOENT | libc::EINTR)) => return true,
            Err(Errno(errno)) => return self.lose(errno),
        };
        let caller = Caller(call.process.cast_signed());
        let said = match call.architecture {
            // The filter asks about no other.
            audit if audit != NATIVE.audit() => Said::Errno(libc::ENOSYS as u16),
            _ => self.answers.to(call.number.cast_unsigned(), &call.arguments),
        };
        match said {
            Said::Pass => self.pass(caller, &call),
            Said::ExecOnce => self.execute_once(caller, &call),
            Said::Record => self.record(caller, &call, "passed"),
            Said::Errno(number) => self.refuse(caller, &call, number),
            Said::Kill => self.end(caller, &call),
        }
        !self.lost
    }

    /// Nobody listens from now on.
    fn lose(&mut self, errno: i32) -> bool {
        self.lost = true;
        self.shared.lose(errno);
        false
    }

    /// Did the answer arrive? Not where its caller is gone; and where the kernel would not take it, or lied, the
    /// caller would wait for ever: then nobody listens any more, and the kernel itself refuses.
    fn arrived(&mut self, call: &Notification, sent: Result<(), Errno>) -> bool {
        match sent {
            Ok(()) if !sys::still_waits(self.fd(), call.id) => true,
            Err(Errno(libc::ENOENT)) => false,
            Ok(()) => self.lose(libc::EPROTO),
            Err(Errno(errno)) => self.lose(errno),
        }
    }

    /// The call goes on as it was made: the kernel decides.
    fn go_on(&mut self, call: &Notification) -> bool {
        let sent = sys::let_continue(self.fd(), call.id);
        self.arrived(call, sent)
    }

    /// The call is not made, and answers this error.
    fn answer(&mut self, call: &Notification, number: i32) -> bool {
        let sent = sys::refuse(self.fd(), call.id, number);
        self.arrived(call, sent)
    }

    fn pass(&mut self, caller: Caller, call: &Notification) {
        if !self.executed {
            return self.execute_once(caller, call);
        }
        // Looked at while the caller waits: its mounts go when it does.
        let seen = self.see(caller, words::name(call.number), &call.arguments);
        let denial = self.describe(caller, call, seen);
        let sure = sys::still_waits(self.fd(), call.id);
        if let (true, true, Some(denial)) = (self.go_on(call), sure, denial) {
            self.shared.add(denial);
        }
    }

    /// The program's own exec, once: its process must have nothing left that it could gain by it.
    fn execute_once(&mut self, caller: Caller, call: &Notification) {
        let status = caller.status();
        if self.executed || !status.is_confined(self.capabilities) {
            let number = if self.executed { libc::ENOSYS } else { libc::EPERM };
            return self.refuse(caller, call, number as u16);
        }
        if self.view.is_none() {
            let layout = self.layout.take().unwrap_or_default();
            self.view = caller.root().map(|root| View::new(root, layout));
        }
        self.executed = self.go_on(call);
        self.shared.book().program = status.number("Tgid");
    }

    fn refuse(&mut self, caller: Caller, call: &Notification, number: u16) {
        let denial = self.of_call(caller, call, &error(number), weight::CALL);
        let sure = sys::still_waits(self.fd(), call.id);
        if self.answer(call, i32::from(number)) && sure {
            self.shared.add(denial);
        }
    }

    fn record(&mut self, caller: Caller, call: &Notification, answer: &str) {
        let denial = self.of_call(caller, call, answer, weight::QUESTION);
        if self.go_on(call) {
            self.shared.add(denial);
        }
    }

    /// Ends the process, as the filter would have: by SIGSYS, unless it has seen to it that it does not die of that.
    fn end(&mut self, caller: Caller, call: &Notification) {
        let status = caller.status();
        let group = status.number("Tgid").unwrap_or(caller.0);
        let process = Pid::from_raw(group).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let denial = self.of_call(caller, call, "SIGSYS", weight::KILLED);
        if !sys::still_waits(self.fd(), call.id) {
            return;
        }
        self.shared.add(denial);
        if let Some(process) = process {
            self.signal(&status, group, process);
        }
        let _it_is_dying = self.answer(call, libc::EPERM);
    }

    fn signal(&mut self, status: &Status, group: i32, process: OwnedFd) {
        let dies = status.dies_of(libc::SIGSYS);
        if dies && pidfd_send_signal(&process, Signal::SYS).is_ok() {
            self.dying.push((Instant::now() + DYING, group, process));
        } else {
            self.shared.book().killed.push(group);
            let _gone_is_fine = pidfd_send_signal(&process, Signal::KILL);
        }
    }

    /// Whoever does not die of the signal in time is killed.
    fn kill_the_dying(&mut self) {
        let now = Instant::now();
        for (_, group, process) in self.dying.extract_if(.., |(at, ..)| *at <= now) {
            if pidfd_send_signal(&process, Signal::KILL).is_ok() {
                self.shared.book().killed.push(group);
            }
        }
    }

    /// A call that the policy's rules are about.
    fn of_call(&mut self, caller: Caller, call: &Notification, answer: &str, weight: i32) -> Denial {
        let name = words::name(call.number);
        let question = weight == weight::CALL && words::is_a_question(name, &call.arguments);
        let weight = if question { weight::QUESTION } else { weight };
        let mut denial = Denial::new(DenialKind::Syscall, words::call(name, &call.arguments), weight);
        denial.arguments = words::arguments(caller, name, &call.arguments);
        denial.answer = Some(answer.to_owned());
        // The policy would let it make a process, and the limit of them is one.
        denial.allow_with = match answer {
            "EAGAIN" if matches!(name, "fork" | "vfork" | "clone") => Some("--pids 100".to_owned()),
            _ => self.remedy(&denial.what, call),
        };
        by(denial, caller, name)
    }

    fn remedy(&mut self, what: &str, call: &Notification) -> Option<String> {
        if let Some(known) = self.remedies.get(what) {
            return known.clone();
        }
        // More different ones are not listed.
        if self.remedies.len() >= Denials::MOST {
            return None;
        }
        let (name, number) = (words::name(call.number), call.number.cast_unsigned());
        let found = remedy::syscall(&self.filter, name, number, &call.arguments);
        self.remedies.insert(what.to_owned(), found.clone());
        found
    }

    /// What a watched call names.
    fn see(&self, caller: Caller, name: &str, arguments: &[u64; 6]) -> Seen {
        if let Some(at) = calls::address_of(name) {
            let length = arguments.get(at + 1).copied().unwrap_or(0);
            let address = Address::read(caller, arguments[at], length);
            return address.map_or(Seen::Nothing, |address| Seen::Address(address, name == "bind"));
        }
        let Some(path) = calls::path_of(name) else { return Seen::Nothing };
        let Some(named) = caller.path(arguments[usize::from(path.path)]) else { return Seen::Nothing };
        if named.as_os_str().is_empty() {
            return Seen::Nothing;
        }
        let folder = path.folder.map_or(libc::AT_FDCWD, |at| arguments[usize::from(at)] as u32 as i32);
        let absolute = if named.is_absolute() {
            Some(named.clone())
        } else {
            caller.folder(folder).map(|base| base.join(&named))
        };
        let want = match path.says {
            Says::Always(want) => want,
            Says::Flags(at) => calls::wanted_by_flags(arguments[usize::from(at)]),
            Says::How(at) => calls::wanted_by_flags(caller.word(arguments[usize::from(at)]).unwrap_or(0)),
            Says::Mode(at) => match arguments[usize::from(at)] as i32 {
                mode if mode & libc::W_OK != 0 => Want::Write,
                mode if mode & libc::X_OK != 0 => Want::Execute,
                _ => Want::Look,
            },
        };
        let link = path.link;
        absolute.map_or(Seen::Nothing, |absolute| Seen::File {
            named,
            absolute: without_dots(&absolute),
            want,
            link,
        })
    }

    fn describe(&self, caller: Caller, call: &Notification, seen: Seen) -> Option<Denial> {
        let name = words::name(call.number);
        let mut denial = match seen {
            Seen::Nothing => None,
            Seen::Address(address, own) => self.of_address(caller, address, own),
            Seen::File { named, absolute, want, link } => self.of_file(&named, &absolute, want, link),
        }?;
        if name == "access" || name.starts_with("faccessat") {
            denial.weight -= weight::LOOK;
        }
        denial.arguments = words::arguments(caller, name, &call.arguments);
        Some(by(denial, caller, name))
    }

    fn of_file(&self, named: &Path, path: &Path, want: Want, link: bool) -> Option<Denial> {
        // Where names are looked up is of no use without a network.
        if self.network_off
            && ["/etc/resolv.conf", "/run/systemd/resolve"].iter().any(|of| path.starts_with(of))
        {
            return None;
        }
        let found = self.view.as_ref()?.judge(path, want, link)?;
        let access = want.access();
        let shown = path.to_string_lossy();
        let mut denial = Denial::new(
            DenialKind::File,
            format!("{access} {shown}: {}", found.why),
            self.weight(path, want),
        );
        denial.path = Some(named.to_string_lossy().into_owned());
        denial.resolved = found.resolved.map(|path| path.to_string_lossy().into_owned());
        denial.access = Some(access.to_owned());
        denial.answer = Some(found.answer.to_owned());
        denial.allow_with = found.allow_with;
        Some(denial)
    }

    fn weight(&self, path: &Path, want: Want) -> i32 {
        let base = match want {
            Want::Look => weight::LOOK,
            Want::Read => weight::READ,
            _ => weight::CHANGE,
        };
        let named = self.words.iter().any(|word| is_of_word(word, path));
        let named = if named { weight::NAMED_IN_THE_COMMAND } else { 0 };
        let settings = ["/etc", "/sys", "/run", "/dev", "/usr/share/locale", "/usr/lib/locale"]
            .iter()
            .any(|folder| path.starts_with(folder))
            || self.home.as_ref().is_some_and(|home| is_setting(home, path));
        base + named + if settings && named == 0 { weight::SETTINGS } else { 0 }
    }

    fn of_address(&self, caller: Caller, address: Address, own: bool) -> Option<Denial> {
        let denial = |what: String, answer: &str, allow_with: Option<&str>| {
            let mut denial = Denial::new(DenialKind::Network, what, weight::NETWORK);
            (denial.answer, denial.allow_with) = (Some(answer.to_owned()), allow_with.map(str::to_owned));
            denial.address = Some(address.to_string());
            denial
        };
        match &address {
            Address::Internet(_, port) if own => {
                let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
                let first = first.and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
                let may = self.capabilities >> NET_BIND_SERVICE & 1 == 1 || *port == 0 || *port >= first;
                (!may && self.network_off).then(|| {
                    denial(format!("listen on port {port}"), "EACCES", Some("--keep-cap NET_BIND_SERVICE"))
                })
            }
            Address::Internet(ip, port) if self.network_off => {
                let (what, answer) = network::judge(caller, *ip, *port)?;
                Some(denial(what, answer, Some("--net host")))
            }
            Address::File(path) if !own => {
                let base =
                    if path.is_absolute() { path.clone() } else { caller.folder(libc::AT_FDCWD)?.join(path) };
                let found = self.view.as_ref()?.judge(&without_dots(&base), Want::Look, false)?;
                let what = format!("connect to the socket {}: {}", base.display(), found.why);
                let mut denial = denial(what, found.answer, None);
                denial.path = Some(path.to_string_lossy().into_owned());
                Some(denial)
            }
            _ => None,
        }
    }
}

/// `CAP_NET_BIND_SERVICE` (capabilities(7)).
const NET_BIND_SERVICE: u32 = 10;

fn by(denial: Denial, caller: Caller, call: &str) -> Denial {
    let pid = caller.status().number("Tgid").unwrap_or(caller.0);
    Denial { call: Some(call.to_owned()), program: caller.name(), pid, thread: caller.0, ..denial }
}

/// A word of the command names the path, or a folder above it.
fn is_of_word(word: &Path, path: &Path) -> bool {
    let relative = word.is_relative() && word.components().all(|part| matches!(part, Component::Normal(_)));
    word.as_os_str().len() > 1
        && (word.is_absolute() && path.starts_with(word) || relative && path.ends_with(word))
}

/// What programs look for in a home without needing it.
fn is_setting(home: &Path, path: &Path) -> bool {
    let rest = path.strip_prefix(home).ok().and_then(|rest| rest.components().next());
    rest.is_some_and(|first| first.as_os_str().to_string_lossy().starts_with('.'))
}

/// Without `.`: what `..` means, the kernel says.
fn without_dots(path: &Path) -> PathBuf {
    path.components().collect()
}
