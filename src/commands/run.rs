//! `wasmprof run`: compile a module, link it, run it.

use super::{WrongUsage, suggestion};
use crate::cli::RunArgs;
use crate::output;
use anyhow::{Context, Result, anyhow, bail};
use std::process::ExitCode;
use wasmprof_engine::wasi::{self, Exit, WasiCtx, WasiCtxBuilder};
use wasmprof_engine::{
    Config, Engine, Error, ExternType, FuncType, Instance, LinkError, Linker, Module, Store, Val,
    ValType,
};

/// The exit code of a program that trapped, or caught an exception nowhere: that of one that was aborted.
const TRAPPED: u8 = 134;
/// What the thread of the program has beyond the program's own stack.
const HOST_STACK: usize = 1 << 20;

/// Runs the module and returns the program's exit code.
pub(crate) fn run(args: RunArgs) -> Result<ExitCode> {
    // A program may need more stack than the first thread has.
    let size = args.max_stack.saturating_add(HOST_STACK);
    let guest = std::thread::Builder::new()
        .name("wasmprof".to_owned())
        .stack_size(size)
        .spawn(move || run_here(&args))
        .with_context(|| format!("cannot start a thread with {size} bytes of stack"))?;
    match guest.join() {
        Ok(result) => result,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

fn run_here(args: &RunArgs) -> Result<ExitCode> {
    let engine = Engine::new(config(args)?)?;
    let module = Module::from_file(&engine, args.module())?;
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
    let mut store = Store::new(&engine, wasi_ctx(args)?);
    let outcome = preload(args, &engine, &mut linker, &mut store)
        .and_then(|()| start(args, &linker, &mut store, &module));
    let missing: Vec<_> = store.data().unimplemented_calls().collect();
    if !missing.is_empty() {
        output::warning(&format!(
            "the program used WASI functions that are not implemented: {}",
            missing.join(", ")
        ));
    }
    exit_code(outcome)
}

fn config(args: &RunArgs) -> Result<Config> {
    let config = Config::new()
        .strategy(args.strategy.into())
        .max_wasm_stack(args.max_stack)
        .on_warning(output::warning);
    match &args.jit_profile {
        None => Ok(config),
        Some(names) => profiled(config, names),
    }
}

#[cfg(feature = "profiling")]
fn profiled(config: Config, names: &str) -> Result<Config> {
    let agents = wasmprof_engine::agents::from_names(names)
        .map_err(|error| WrongUsage(format!("--jit-profile: {error}")))?;
    Ok(config.agents(agents))
}

#[cfg(not(feature = "profiling"))]
fn profiled(_: Config, _: &str) -> Result<Config> {
    bail!(
        "--jit-profile: this build has no profiling agents; build with the cargo feature \
         `profiling`, which is on by default"
    )
}

fn wasi_ctx(args: &RunArgs) -> Result<WasiCtx> {
    let mut builder = WasiCtxBuilder::new();
    builder.inherit_stdio();
    builder.arg(args.module().file_name().unwrap_or(args.module().as_os_str()));
    if args.invoke.is_none() {
        builder.args(args.args());
    }
    for env in &args.envs {
        let (name, value) = env
            .split_once('=')
            .ok_or_else(|| WrongUsage(format!("--env {env}: expected NAME=VALUE")))?;
        builder.env(name, value);
    }
    for dir in &args.dirs {
        let (host, guest) = dir.split_once("::").unwrap_or((dir, dir));
        builder.preopened_dir(host, guest).with_context(|| format!("--dir {dir}"))?;
    }
    Ok(builder.build()?)
}

/// Instantiates the modules of `--preload`, each of which may import from
/// those before it.
fn preload(
    args: &RunArgs,
    engine: &Engine,
    linker: &mut Linker<WasiCtx>,
    store: &mut Store<WasiCtx>,
) -> Result<()> {
    for preload in &args.preloads {
        let (name, file) = preload
            .split_once('=')
            .ok_or_else(|| WrongUsage(format!("--preload {preload}: expected NAME=FILE")))?;
        let module = Module::from_file(engine, file)?;
        let instance = instantiate(linker, store, &module)?;
        linker.instance(&mut *store, name, instance)?;
    }
    Ok(())
}

fn instantiate(
    linker: &Linker<WasiCtx>,
    store: &mut Store<WasiCtx>,
    module: &Module,
) -> Result<Instance> {
    linker.instantiate(store, module).map_err(|error| {
        let Error::Link(link) = &error else { return error.into() };
        let LinkError::MissingImport { module, name, .. } = &**link else { return error.into() };
        let known = linker.names(module);
        let hint = match known.is_empty() {
            true => format!(
                "; nothing is known by the name of `{module}`, a module for it can be given by \
                 --preload {module}=FILE"
            ),
            false => suggestion(name, known),
        };
        anyhow!("{error}{hint}")
    })
}

/// Instantiates the module and calls what it is to be run by.
fn start(
    args: &RunArgs,
    linker: &Linker<WasiCtx>,
    store: &mut Store<WasiCtx>,
    module: &Module,
) -> Result<()> {
    let name = args.invoke.as_deref().unwrap_or("_start");
    let ty = match module.exports().find(|export| export.name() == name) {
        Some(export) => match export.ty() {
            ExternType::Func(ty) => ty.clone(),
            other => bail!("the export `{name}` is not a function but a {other}"),
        },
        None => return Err(no_such_function(name, module, args.invoke.is_some())),
    };
    let params = match args.invoke {
        Some(_) => parse_args(name, &ty, args)?,
        None if ty.params().is_empty() => Vec::new(),
        None => bail!("`_start` has the type {ty}; it should take nothing"),
    };
    let instance = instantiate(linker, store, module)?;
    let func = instance.get_func(&mut *store, name).context("the export is a function")?;
    let mut results: Vec<Val> = ty.results().iter().map(|ty| Val::default_for(*ty)).collect();
    func.call(&mut *store, &params, &mut results)?;
    if args.invoke.is_some() {
        let mut text = String::new();
        for result in &results {
            text.push_str(&show(result));
            text.push('\n');
        }
        output::result(&text)?;
    }
    Ok(())
}

fn no_such_function(name: &str, module: &Module, asked_for: bool) -> anyhow::Error {
    let functions: Vec<&str> = module
        .exports()
        .filter(|export| matches!(export.ty(), ExternType::Func(_)))
        .map(|export| export.name())
        .collect();
    let hint = if asked_for { suggestion(name, functions.iter().copied()) } else { String::new() };
    match functions.as_slice() {
        [] => anyhow!("the module exports no function `{name}`, and no other"),
        _ if asked_for => anyhow!("the module exports no function `{name}`{hint}"),
        [first, ..] => anyhow!(
            "the module exports no `_start`, so it is not a program; a function of it can be \
             called by --invoke, `--invoke {first}` for one"
        ),
    }
}

/// The arguments of the command line as values of the function's parameters.
fn parse_args(name: &str, ty: &FuncType, args: &RunArgs) -> Result<Vec<Val>> {
    let given = args.args();
    if given.len() != ty.params().len() {
        bail!("`{name}` has the type {ty}, and {} arguments were given", given.len());
    }
    let parse = |(ty, text): (&ValType, &std::ffi::OsString)| -> Result<Val> {
        let text = text.to_string_lossy();
        parse_value(*ty, &text)
            .ok_or_else(|| anyhow!("`{text}` is not a value of type {ty}{}", expected(*ty)))
    };
    ty.params().iter().zip(given).map(parse).collect()
}

/// How to write a value, where one cannot guess.
fn expected(ty: ValType) -> &'static str {
    match ty {
        ValType::V128 => {
            ": expected 0x and up to 32 hexadecimal digits, those of the first lane last"
        }
        ValType::Ref(_) => ": expected `null`",
        _ => "",
    }
}

/// A number in decimal, or in hexadecimal after `0x`; integers may be signed or
/// not. A vector is a number in hexadecimal.
fn parse_value(ty: ValType, text: &str) -> Option<Val> {
    let integer = || -> Option<i128> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        let value = match digits.strip_prefix("0x") {
            Some(digits) => i128::from(u64::from_str_radix(digits, 16).ok()?),
            None => i128::from(digits.parse::<u64>().ok()?),
        };
        Some(sign * value)
    };
    match ty {
        ValType::I32 => {
            let value = integer()?;
            let fits = (i128::from(i32::MIN)..=i128::from(u32::MAX)).contains(&value);
            fits.then_some(Val::I32(value as i32))
        }
        ValType::I64 => {
            let value = integer()?;
            let fits = (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value);
            fits.then_some(Val::I64(value as i64))
        }
        ValType::F32 => Some(Val::from(text.parse::<f32>().ok()?)),
        ValType::F64 => Some(Val::from(text.parse::<f64>().ok()?)),
        ValType::Ref(ty) => (text == "null").then_some(Val::null(ty)),
        ValType::V128 => {
            let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'))?;
            Some(Val::V128(u128::from_str_radix(digits, 16).ok()?))
        }
    }
}

fn show(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(bits) => f32::from_bits(*bits).to_string(),
        Val::F64(bits) => f64::from_bits(*bits).to_string(),
        Val::V128(bits) => format!("{bits:#034x}"),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) => "null".to_owned(),
        Val::FuncRef(Some(_)) => "a function".to_owned(),
        Val::ExternRef(Some(_)) | Val::ExnRef(Some(_)) => "a reference".to_owned(),
    }
}

/// The exit code for how a program ended, said on stderr if it was a trap.
fn exit_code(outcome: Result<()>) -> Result<ExitCode> {
    let Err(error) = outcome else { return Ok(ExitCode::SUCCESS) };
    match error.downcast_ref::<Error>() {
        Some(ours) if ours.downcast_ref::<Exit>().is_some() => {
            let Exit(code) = ours.downcast_ref().context("an exit was found")?;
            // The system keeps the low eight bits.
            Ok(ExitCode::from(*code as u8))
        }
        Some(ended @ (Error::Trap(_) | Error::Exception(_))) => {
            output::error(&anyhow!("{ended}"));
            if let Some(backtrace) = ended.backtrace() {
                output::note(format!("wasm backtrace:\n{backtrace}").trim_end());
            }
            Ok(ExitCode::from(TRAPPED))
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_may_be_signed_or_not() {
        let i32 = |text| parse_value(ValType::I32, text).and_then(|value| value.i32());
        assert_eq!(i32("-1"), Some(-1));
        assert_eq!(i32("4294967295"), Some(-1));
        assert_eq!(i32("0xff"), Some(255));
        assert_eq!(i32("-2147483648"), Some(i32::MIN));
        assert_eq!(i32("4294967296"), None);
        assert_eq!(i32("1.5"), None);
        let i64 = |text| parse_value(ValType::I64, text).and_then(|value| value.i64());
        assert_eq!(i64("18446744073709551615"), Some(-1));
        assert_eq!(i64("-9223372036854775809"), None);
    }

    #[test]
    fn vectors_are_hexadecimal() {
        let v128 = |text| parse_value(ValType::V128, text).map(|value| show(&value));
        let whole = "0x0f0e0d0c0b0a09080706050403020100";
        assert_eq!(v128(whole).as_deref(), Some(whole));
        assert_eq!(v128("0xFF").as_deref(), Some("0x000000000000000000000000000000ff"));
        for wrong in ["0x", "0x+1", "255", "-0x1", "0x100000000000000000000000000000000", "1.5"] {
            assert_eq!(v128(wrong), None, "{wrong}");
        }
    }
}
