//! Blocks, loops, branches and returns.

use super::Translator;
use crate::signature::value_type;
use cranelift_codegen::ir::{Block, BlockArg, BlockCall, InstBuilder, JumpTableData, Value};
use wasmparser::{BlockType, BrTable, Operator};
use wasmprof_image::TrapCode;
use wasmprof_module::ValType;

/// An enclosing block.
pub(super) struct Frame {
    kind: Kind,
    /// Where a branch to this frame goes.
    target: Block,
    /// What follows the frame; its parameters are the results. For all but
    /// loops this is the target.
    end: Block,
    /// How many values a branch to it takes.
    branch_arity: usize,
    /// Height of the operand stack below the frame's parameters.
    height: usize,
    /// Whether control can reach `end`.
    end_reached: bool,
}

enum Kind {
    /// A block, the body of the function, or the second arm of an `if`.
    Block,
    Loop,
    /// The first arm of an `if`, with the block of the second and the
    /// parameters that it starts from.
    Then {
        otherwise: Block,
        params: Vec<Value>,
    },
    /// A block that catches exceptions, with the number of clauses of the
    /// blocks around it.
    Catching {
        outer: usize,
    },
    /// A block that control never reaches.
    Unreachable,
}

impl Translator<'_> {
    pub(super) fn control_operator(&mut self, op: &Operator<'_>) -> bool {
        match op {
            Operator::Block { blockty } => {
                let (params, results) = self.block_type(*blockty);
                let end = self.block_with(&results);
                self.push_frame(Kind::Block, end, end, results.len(), params.len());
            }
            Operator::Loop { blockty } => {
                let (params, results) = self.block_type(*blockty);
                let header = self.block_with(&params);
                let end = self.block_with(&results);
                let height = self.stack.len() - params.len();
                let args = self.operands_above(height);
                self.stack.truncate(height);
                self.ins().jump(header, &args);
                self.builder.switch_to_block(header);
                self.stack.extend_from_slice(self.builder.block_params(header));
                self.push_frame(Kind::Loop, header, end, params.len(), params.len());
                self.check_epoch();
            }
            Operator::If { blockty } => {
                let (params, results) = self.block_type(*blockty);
                let condition = self.pop();
                let then = self.builder.create_block();
                let otherwise = self.builder.create_block();
                let end = self.block_with(&results);
                self.ins().brif(condition, then, &[], otherwise, &[]);
                self.builder.seal_block(otherwise);
                self.continue_in(then);
                let params = self.stack[self.stack.len() - params.len()..].to_vec();
                let arity = params.len();
                self.push_frame(Kind::Then { otherwise, params }, end, end, results.len(), arity);
            }
            Operator::TryTable { try_table } => {
                let (params, results) = self.block_type(try_table.ty);
                let end = self.block_with(&results);
                let outer = self.catches.len();
                self.start_catching(try_table);
                let kind = Kind::Catching { outer };
                self.push_frame(kind, end, end, results.len(), params.len());
            }
            Operator::Else => self.start_else(),
            Operator::End => self.end_frame(),
            Operator::BrOnNull { relative_depth } => self.br_on_null(*relative_depth),
            Operator::BrOnNonNull { relative_depth } => self.br_on_non_null(*relative_depth),
            Operator::Br { relative_depth } => {
                let (target, args) = self.branch(*relative_depth);
                self.ins().jump(target, &args);
                self.reachable = false;
            }
            Operator::BrIf { relative_depth } => {
                let condition = self.pop();
                let (target, args) = self.branch(*relative_depth);
                let next = self.builder.create_block();
                self.ins().brif(condition, target, &args, next, &[]);
                self.continue_in(next);
            }
            Operator::BrTable { targets } => self.br_table(targets),
            Operator::Return => {
                let outermost = self.control.len() as u32 - 1;
                let (target, args) = self.branch(outermost);
                self.ins().jump(target, &args);
                self.reachable = false;
            }
            Operator::Unreachable => self.trap(TrapCode::Unreachable),
            _ => return false,
        }
        true
    }

    /// Keeps the control stack while control cannot reach the code.
    pub(super) fn unreachable_operator(&mut self, op: &Operator<'_>) {
        match op {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => {
                let nowhere = Block::from_u32(0);
                let height = self.stack.len();
                self.control.push(Frame {
                    kind: Kind::Unreachable,
                    target: nowhere,
                    end: nowhere,
                    branch_arity: 0,
                    height,
                    end_reached: false,
                });
            }
            Operator::Else => self.start_else(),
            Operator::End => self.end_frame(),
            _ => {}
        }
    }

    /// The frame of the whole body: leaving it is returning.
    pub(super) fn push_body(&mut self, results: &[ValType]) {
        let end = self.block_with(results);
        self.push_frame(Kind::Block, end, end, results.len(), 0);
    }

    fn push_frame(
        &mut self,
        kind: Kind,
        target: Block,
        end: Block,
        branch_arity: usize,
        params: usize,
    ) {
        let height = self.stack.len() - params;
        self.control.push(Frame { kind, target, end, branch_arity, height, end_reached: false });
    }

    fn frame(&mut self) -> &mut Frame {
        self.control.last_mut().expect("validation has matched blocks and ends")
    }

    /// Jumps from the end of an arm or block to what follows it.
    fn fall_through(&mut self) {
        if !self.reachable {
            return;
        }
        let frame = self.frame();
        frame.end_reached = true;
        let (end, height) = (frame.end, frame.height);
        let results = self.operands_above(height);
        self.ins().jump(end, &results);
    }

    fn start_else(&mut self) {
        self.fall_through();
        let frame = self.frame();
        let height = frame.height;
        if let Kind::Then { otherwise, params } = std::mem::replace(&mut frame.kind, Kind::Block) {
            self.stack.truncate(height);
            self.stack.extend(params);
            self.builder.switch_to_block(otherwise);
            self.reachable = true;
        } else {
            // The `if` itself is unreachable.
            self.frame().kind = Kind::Unreachable;
        }
    }

    fn end_frame(&mut self) {
        self.fall_through();
        let mut frame = self.control.pop().expect("validation has matched blocks and ends");
        match frame.kind {
            Kind::Unreachable => return,
            Kind::Loop => self.builder.seal_block(frame.target),
            Kind::Then { otherwise, params } => {
                // Without a second arm, the parameters are the results.
                self.builder.switch_to_block(otherwise);
                let results = self.block_args(&params);
                self.ins().jump(frame.end, &results);
                frame.end_reached = true;
            }
            Kind::Catching { outer } => self.finish_catching(outer, frame.height),
            Kind::Block => {}
        }
        self.continue_in(frame.end);
        self.reachable = frame.end_reached;
        self.stack.truncate(frame.height);
        if self.control.is_empty() {
            self.return_from(frame.end);
        } else {
            self.stack.extend_from_slice(self.builder.block_params(frame.end));
        }
    }

    /// Ends the function. A body whose end is never reached still gets a
    /// block, which Cranelift wants to be well-formed.
    fn return_from(&mut self, end: Block) {
        let results = self.builder.block_params(end).to_vec();
        self.ins().return_(&results);
    }

    /// Where a branch by `depth` goes, with the operands it takes there. They
    /// stay on the stack.
    pub(super) fn branch(&mut self, depth: u32) -> (Block, Vec<BlockArg>) {
        let at = self.control.len() - 1 - depth as usize;
        let frame = &mut self.control[at];
        frame.end_reached |= !matches!(frame.kind, Kind::Loop);
        let (target, arity) = (frame.target, frame.branch_arity);
        (target, self.operands_above(self.stack.len() - arity))
    }

    fn br_table(&mut self, targets: &BrTable<'_>) {
        let index = self.pop();
        let mut calls = Vec::with_capacity(targets.len() as usize);
        for depth in targets.targets() {
            // The validator has read the same bytes already.
            let depth = depth.expect("validation has read the targets");
            calls.push(self.block_call(depth));
        }
        let default = self.block_call(targets.default());
        let table = self.builder.create_jump_table(JumpTableData::new(default, &calls));
        self.ins().br_table(index, table);
        self.reachable = false;
    }

    fn block_call(&mut self, depth: u32) -> BlockCall {
        let (target, args) = self.branch(depth);
        BlockCall::new(target, args, &mut self.builder.func.dfg.value_lists)
    }

    /// A block with parameters of these types.
    fn block_with(&mut self, types: &[ValType]) -> Block {
        let block = self.builder.create_block();
        for ty in types {
            self.builder.append_block_param(block, value_type(*ty));
        }
        block
    }

    /// The parameters and results of a block.
    fn block_type(&self, ty: BlockType) -> (Vec<ValType>, Vec<ValType>) {
        match ty {
            BlockType::Empty => (Vec::new(), Vec::new()),
            BlockType::Type(result) => (Vec::new(), vec![self.env.module.val_type(result)]),
            BlockType::FuncType(index) => {
                let ty = self.env.module.types[index as usize].func_type();
                (ty.params().to_vec(), ty.results().to_vec())
            }
        }
    }
}
