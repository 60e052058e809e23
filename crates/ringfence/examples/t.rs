fn main(){
 let mut p = ringfence::Policy::builtin("default").unwrap();
 let a: Vec<String> = std::env::args().skip(1).collect();
 let s = ringfence::Sandbox::new(p);
 let mut c = s.command(&a[0]); c.args(&a[1..]);
 if std::env::var("PLAN").is_ok() { for l in c.plan().unwrap().lines() { println!("{l}") } }
 let r = c.run_in_foreground(&mut |n| eprintln!("note {n}"));
 eprintln!("{}", serde_json::to_string_pretty(&r).unwrap());
}
