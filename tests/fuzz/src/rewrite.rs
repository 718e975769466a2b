//! Rewrites a module in two ways.
//!
//! Every wait gets a timeout of zero: no other thread will ever wake it, and
//! how long it sleeps says nothing. And if asked, calls go through typed
//! references, which `wasm-smith` makes only together with garbage collection.

use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, Instruction, Module};
use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef};

/// The module with its waits cut short, and calls through references if
/// `typed`. For that, it must export all its functions: only a function that is
/// declared somewhere can be referred to.
pub(crate) fn rewrite(wasm: &[u8], typed: bool) -> Option<Vec<u8>> {
    let types = if typed { function_types(wasm)? } else { Vec::new() };
    let mut module = Module::new();
    Rewriter { types }.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
    Some(module.finish())
}

struct Rewriter {
    /// The index of the type of each function; none if calls stay as they are.
    types: Vec<u32>,
}

fn function_types(wasm: &[u8]) -> Option<Vec<u32>> {
    let mut types = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    if let TypeRef::Func(ty) = import.ok()?.ty {
                        types.push(ty);
                    }
                }
            }
            Payload::FunctionSection(reader) => {
                for ty in reader {
                    types.push(ty.ok()?);
                }
            }
            _ => {}
        }
    }
    Some(types)
}

impl Reencode for Rewriter {
    type Error = std::convert::Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            match operator {
                Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } => {
                    function.instruction(&Instruction::Drop);
                    function.instruction(&Instruction::I64Const(0));
                }
                Operator::Call { function_index } if !self.types.is_empty() => {
                    function.instruction(&Instruction::RefFunc(function_index));
                    // Now and then by way of a check that always passes.
                    if function_index % 2 == 0 {
                        function.instruction(&Instruction::RefAsNonNull);
                    }
                    let ty = self.types[function_index as usize];
                    function.instruction(&Instruction::CallRef(ty));
                    continue;
                }
                Operator::ReturnCall { function_index } if !self.types.is_empty() => {
                    function.instruction(&Instruction::RefFunc(function_index));
                    let ty = self.types[function_index as usize];
                    function.instruction(&Instruction::ReturnCallRef(ty));
                    continue;
                }
                _ => {}
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}
