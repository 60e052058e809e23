//! `ringfence plan`: what a run would do, and what would hold it.

use ringfence::policy::Problem;
use ringfence::{Plan, Sandbox};

use crate::arguments::PlanArguments;
use crate::messages::escaped;
use crate::{messages, output, policy, receipt, usage};

/// Plans a run and prints the plan. A policy that contradicts itself is a usage error; one that this host cannot
/// hold, or a command that is not there, is an answer that failed.
pub(crate) fn plan(arguments: PlanArguments) -> u8 {
    // Before anything of ours is open: it could stand under a number that is not.
    let passed = ringfence::take_inherited(&arguments.pass_fd);
    let mut notes = Vec::new();
    let policy = match policy::from_flags(arguments.policy, &mut notes) {
        Ok(policy) => policy,
        Err(problem) => return fail(&problem, usage::STATUS),
    };
    let [program, rest @ ..] = arguments.command.as_slice() else {
        return fail(&Problem::request("usage", "no program was named".to_owned()), usage::STATUS);
    };
    notes.iter().for_each(|note| messages::say(note));
    let mut command = Sandbox::new(policy).command(program);
    command.args(rest).explain(arguments.explain);
    let planned = passed.and_then(|passed| {
        for (number, file) in passed {
            command.pass_fd(number, file);
        }
        command.plan_here()
    });
    match planned {
        Ok(plan) if arguments.json => output::print(format!("{:#}\n", plan.to_json())),
        Ok(plan) => output::print(text(&plan)),
        Err(problem) => fail(&problem, output::FAILED),
    }
}

fn fail(problem: &Problem, status: u8) -> u8 {
    messages::problem(problem);
    status
}

/// The steps, numbered, then the receipt.
fn text(plan: &Plan) -> String {
    let mut lines = steps(plan);
    lines.push(String::new());
    lines.extend(receipt::table(plan.receipt()));
    lines.join("\n") + "\n"
}

/// The steps, numbered.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    let number = |(index, line): (usize, String)| format!("{:3}. {}", index + 1, escaped(&line));
    plan.lines().into_iter().enumerate().map(number).collect()
}
