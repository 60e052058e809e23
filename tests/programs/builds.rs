//! Compilers and what they make: a writable working directory, no network.

use crate::compare::Case;

const C: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static void *add(void *sum) { for (int i = 0; i < 1000; i++) __atomic_fetch_add((long *)sum, i, __ATOMIC_SEQ_CST); return NULL; }
int main(void) {
    long *sum = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) if (pthread_create(&threads[i], NULL, add, sum)) return 1;
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    printf("threads %ld\n", *sum); fflush(stdout);
    pid_t child = fork();
    if (child == 0) { add(sum); _exit(7); }
    int status; waitpid(child, &status, 0);
    printf("child %d %ld\n", WEXITSTATUS(status), *sum);
    char name[] = "/tmp/xXXXXXX"; int file = mkstemp(name);
    printf("file %zd %d\n", write(file, name, 5), unlink(name));
    struct timespec pause = { 0, 1000000 }; nanosleep(&pause, NULL);
    FILE *pipe = popen("echo popen", "r"); char line[32]; fputs(fgets(line, sizeof line, pipe), stdout); pclose(pipe);
    return system("exit 3") == 3 << 8 ? 0 : 1;
}
"#;

#[test]
fn gcc_compiles_links_and_the_program_runs() {
    let header = "#pragma once\nint twice(int);\n";
    let cpp = "#include <iostream>\n#include <thread>\n#include <stdexcept>\n#include \"twice.h\"\nint twice(int n) { return 2 * n; }\n\
               int main() { int n = 0; std::thread([&] { n = twice(21); }).join();\n\
               try { throw std::runtime_error(\"caught\"); } catch (std::exception &e) { std::cout << e.what() << n << '\\n'; } }\n";
    Case {
        name: "gcc",
        profile: "build",
        files: &[("main.c", C), ("twice.h", header), ("main.cpp", cpp)],
        needs: &[("gcc", "gcc"), ("g++", "g++")],
        before: "",
        line: "gcc -O2 -Wall -pthread -o dynamic main.c && ./dynamic && gcc -static -pthread -o fixed main.c && ./fixed && \
               g++ -pipe -flto -pthread -o cpp main.cpp && ./cpp && gcc -c main.c && ar rcs lib.a main.o && nm lib.a | grep -w main; \
               echo 'int x = ' >bad.c; gcc -c bad.c; echo $?",
    }
    .prints("caught42");
}

#[test]
fn make_builds_in_parallel_and_only_what_changed() {
    let makefile = "all: a.out\n\t./a.out\na.out: main.o twice.o\n\t$(CC) -o $@ $^\n%.o: %.c twice.h\n\t$(CC) -c -o $@ $<\n\
                    clean:\n\trm -f *.o a.out\n.PHONY: all clean\n";
    Case {
        name: "make",
        profile: "build",
        files: &[
            ("Makefile", makefile),
            ("twice.h", "int twice(int);\n"),
            ("twice.c", "#include \"twice.h\"\nint twice(int n) { return 2 * n; }\n"),
            ("main.c", "#include <stdio.h>\n#include \"twice.h\"\nint main(void) { printf(\"%d\\n\", twice(21)); }\n"),
        ],
        needs: &[("make", "make"), ("gcc", "gcc")],
        before: "",
        line: "make -j4 --output-sync=target | sort && touch twice.c && make && make -s clean && ls; make nothing; echo $?",
    }
    .prints("42");
}

#[test]
fn cargo_builds_and_tests_a_small_crate_offline() {
    let manifest = "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n\
                    [dependencies]\npart = { path = \"part\" }\n";
    let part = "[package]\nname = \"part\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[lib]\n";
    let main = "fn main() { println!(\"{} {}\", part::twice(21), env!(\"FROM_BUILD\")); }\n\
                #[test] fn works() { assert_eq!(part::twice(2), 4); }\n";
    let part_lib = "pub fn twice(n: u32) -> u32 { std::thread::spawn(move || 2 * n).join().unwrap() }\n\
                    #[test] #[should_panic] fn panics() { panic!(\"as it should\") }\n";
    let line = "cargo build --offline -q && ./target/debug/small && \
         cargo test --offline -q --workspace 2>&1 | grep -c 'test result: ok' && cargo run --offline -q --release && \
         cargo metadata --offline --no-deps --format-version 1 | wc -l; \
         echo 'fn main() { let x: u8 = 256; }' >src/main.rs; cargo build --offline -q 2>&1 | grep -c 'out of range'";
    Case {
        name: "cargo",
        profile: "build",
        files: &[
            ("Cargo.toml", manifest),
            ("build.rs", "fn main() { println!(\"cargo:rustc-env=FROM_BUILD=script\"); }\n"),
            ("src/main.rs", main),
            ("part/Cargo.toml", part),
            ("part/src/lib.rs", part_lib),
        ],
        needs: &[("cargo", "cargo"), ("gcc", "gcc")],
        before: "",
        line,
    }
    .prints("42 script");
}

#[test]
fn go_builds_tests_and_runs_a_small_module() {
    let main = "package main\nimport (\"fmt\"; \"net\"; \"os\"; \"os/exec\"; \"io\"; \"sync\"; \"time\"; \"runtime\")\n\
        func Twice(n int) int { return 2 * n }\n\
        func main() {\n\
        var group sync.WaitGroup; var lock sync.Mutex; sum := 0\n\
        for i := 0; i < 64; i++ { group.Add(1); go func(n int) { defer group.Done(); runtime.Gosched(); time.Sleep(time.Millisecond); lock.Lock(); sum += n; lock.Unlock() }(i) }\n\
        group.Wait(); fmt.Println(\"goroutines\", sum)\n\
        out, err := exec.Command(\"sh\", \"-c\", \"echo child; exit 3\").Output(); fmt.Printf(\"%q %v\\n\", out, err)\n\
        l, err := net.Listen(\"tcp\", \"127.0.0.1:0\"); if err != nil { panic(err) }\n\
        go func() { c, _ := l.Accept(); c.Write([]byte(\"loopback\")); c.Close() }()\n\
        c, err := net.Dial(\"tcp\", l.Addr().String()); if err != nil { panic(err) }\n\
        all, _ := io.ReadAll(c); fmt.Println(string(all))\n\
        f, err := os.CreateTemp(\"\", \"x\"); if err != nil { panic(err) }; f.WriteString(\"x\"); os.Remove(f.Name())\n\
        waste := 0; for i := 0; i < 1000; i++ { waste += len(make([]byte, 1<<16)) }; runtime.GC(); fmt.Println(waste) }\n";
    let test =
        "package main\nimport \"testing\"\nfunc TestTwice(t *testing.T) { if Twice(2) != 4 { t.Fatal() } }\n";
    Case {
        name: "go",
        profile: "build",
        files: &[("go.mod", "module small\n\ngo 1.19\n"), ("main.go", main), ("main_test.go", test)],
        needs: &[("go", "golang-go"), ("gcc", "gcc")],
        before: "",
        line: "export GOFLAGS=-mod=mod GOPROXY=off GOCACHE=$PWD/.cache; \
               go vet && go build -o small && ./small && go test | cut -f 1",
    }
    .prints("goroutines 2016");
}

#[test]
fn a_static_program_of_musl_runs_under_every_profile_that_lets_it_start_children() {
    let statically = "musl-gcc -O1 -static -pthread -o small main.c";
    for profile in ["default", "python-safe", "node-safe", "build", "agent", "mcp", "service"] {
        Case {
            name: "a static program of musl",
            profile,
            files: &[("main.c", C)],
            needs: &[("musl-gcc", "musl-tools")],
            before: statically,
            line: "./small",
        }
        .prints("child 7 4495500");
    }
}
