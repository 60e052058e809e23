//! Tools that work on files: a local repository, archives, a database, the shell's own.

use crate::compare::Case;

const IDENTITY: &str = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b \
                        GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'; ";

#[test]
fn git_makes_a_repository_and_works_in_it() {
    let line = format!(
        "{IDENTITY} git init -q -b main . && git add a b && git commit -q -m one && git checkout -q -b side && echo x >>a && \
         git commit -q -am two && git checkout -q main && echo y >>b && git commit -q -am three && \
         git merge -q -m four side && git rebase -q HEAD~1 && git tag v1 && git stash list && git gc -q && git fsck --strict && \
         git log --oneline --stat && git archive v1 | tar t && git clone -q . copy && git -C copy grep -n x && \
         git blame -s a && git worktree add -q ../here/tree side && git worktree list | wc -l && git status --short; \
         git checkout nothing; echo $?"
    );
    Case {
        name: "git",
        profile: "build",
        files: &[("a", "first\nsecond\n"), ("b", "other\n")],
        needs: &[("git", "git")],
        before: "",
        line: &line,
    }
    .prints("?? copy/");
}

#[test]
fn git_reads_and_commits_under_agent_and_reads_by_default() {
    let before =
        format!("{IDENTITY} git init -q -b main . && git add a && git commit -q -m one && echo more >>a");
    let reads =
        "git status --short; git diff; git log --format=%H; git show HEAD:a; git ls-files -s; git blame -s a";
    let commits =
        format!("{IDENTITY} {reads}; git commit -q -am two && git branch side && git log --oneline");
    for (profile, line) in [("default", reads), ("shell-readonly", reads), ("agent", commits.as_str())] {
        Case {
            name: "git",
            profile,
            files: &[("a", "first\nsecond\n")],
            needs: &[("git", "git")],
            before: &before,
            line,
        }
        .prints("+more");
    }
}

#[test]
fn tar_packs_and_unpacks_with_every_compressor() {
    Case {
        name: "tar",
        profile: "build",
        files: &[("in/a", "text\n"), ("in/deep/b", "more\n")],
        needs: &[("tar", "tar"), ("gzip", "gzip"), ("xz", "xz-utils")],
        before: "ln -s a in/link && ln in/a in/hard && chmod 640 in/deep/b && touch -d @1000000000 in/a && \
                 truncate -s 1M in/sparse && mkfifo in/fifo",
        line: "for c in '' z J; do tar -c${c}Sf x.tar in && tar -t${c}f x.tar | sort && mkdir out && tar -x${c}f x.tar -C out && \
               find out -printf '%P %y %m %s %n %l\\n' | grep -v ' d ' | sort && rm -r out; done; \
               stat -c %Y in/a; tar xf nothing; echo $?",
    }
    .prints("in/deep/b");
}

#[test]
fn sqlite3_in_every_journal_mode_and_from_two_processes() {
    Case {
        name: "sqlite3",
        profile: "build",
        files: &[("in.sql", "create table t(a, b); insert into t values(1, 'x'), (2, 'y');\n")],
        needs: &[("sqlite3", "sqlite3")],
        before: "",
        line: "for mode in delete truncate persist memory wal; do rm -f x.db*; sqlite3 x.db \"pragma journal_mode = $mode\" && \
               sqlite3 x.db <in.sql && for i in 1 2 3 4; do sqlite3 -cmd '.timeout 20000' x.db \"insert into t values($i, 'z')\" & done; \
               wait; sqlite3 x.db 'select count(*), sum(a) from t; pragma integrity_check; vacuum'; done; \
               sqlite3 x.db 'pragma mmap_size=1000000; select * from t order by 1, 2; select * from missing'; echo $?",
    }
    .prints("6|13");
}

#[test]
fn sqlite3_reads_what_it_cannot_write() {
    Case {
        name: "sqlite3",
        profile: "shell-readonly",
        files: &[],
        needs: &[("sqlite3", "sqlite3")],
        before: "sqlite3 x.db 'create table t(a); insert into t values(42)'",
        line: "sqlite3 -readonly x.db 'select a from t' .schema",
    }
    .prints("42");
}

/// What a shell that looks around uses.
#[test]
fn the_tools_of_a_shell_look_around() {
    Case {
        name: "the shell's tools",
        profile: "shell-readonly",
        files: &[("a/b/needle.txt", "hay\nneedle\nhay\n"), ("a/c", "3\n1\n2\n"), ("binary", "\u{1}\u{2}\n")],
        needs: &[("bash", "bash"), ("awk", "mawk"), ("perl", "perl"), ("python3", "python3")],
        before: "ln -s a/c link && touch -d @1000000000 a/c a/b/needle.txt && gzip -k a/c",
        line: r#"find a -type f -printf "%p %m %s %T@\n" | sort; stat -c '%s %F' a/c link; find . -name '*.txt' -exec wc {} +; grep -rn needle .
               sort -n a/c | uniq -c | awk '{print $2}' | tac | tr 1 x | head -n 2; sed -n 2p a/b/needle.txt; cat link | md5sum
               readlink -f link | sed 's/.*here//'; du -a --apparent-size a/b | cut -f 1; file=$(cat a/c); echo "${file%%?}"; od -c binary
               diff a/c a/b/needle.txt; cmp a/c a/b/needle.txt; zcat a/c.gz; bash -c 'x=(a/*); echo ${#x[@]}; read -r y <a/c; echo <(:) | cut -c 1-8; echo $y'
               ps -e -o comm= | sort | uniq -c | grep -c ps; id -un >/dev/null; date -d @0 +%F -u; (exit 3); echo $?
               timeout 1 sleep 10; echo $?; trap 'echo trapped' TERM; kill $$; seq 3 | xargs -n 1 -P 2 echo | sort; nproc >/dev/null; tail -n 1 a/c
               perl -ne 'print if /needle/' a/b/needle.txt; python3 -c 'import os; print(sorted(os.listdir("a")))'; tar cf - a | tar tf - | sort; env | grep -c HOME
               mktemp -u xXXXX | wc -l; sleep 0.1 & wait; printf '%s\n' a b | tee /dev/stderr | nl; ls nothing; echo $?"#,
    }
    .prints("trapped");
}
