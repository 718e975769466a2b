;; A plugin: it works on texts in its own memory, and asks its host for the rest.
(module $plugin
  (import "host" "log" (func $log (param i32 i32)))
  (import "host" "setting" (func $setting (param i32) (result i32)))

  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))

  ;; Room for `$len` bytes, at the address that is returned.
  (func $alloc (export "alloc") (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $len)))
    (loop $more
      (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
        (then
          ;; Without memory there is nothing to be done.
          (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
          (br $more))))
    (local.get $at))

  ;; The text in capital letters, in its place.
  (func $shout (export "shout") (param $at i32) (param $len i32) (result i32 i32)
    (local $i i32) (local $byte i32)
    (call $log (local.get $at) (local.get $len))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $len)))
        (local.set $byte (i32.load8_u (i32.add (local.get $at) (local.get $i))))
        (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 26))
          (then
            (i32.store8
              (i32.add (local.get $at) (local.get $i))
              (i32.sub (local.get $byte) (i32.const 32)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $at) (local.get $len))

  ;; The text as often as the host says in its first setting.
  (func $repeat (export "repeat") (param $at i32) (param $len i32) (result i32 i32)
    (local $copies i32) (local $result i32) (local $i i32)
    (local.set $copies (call $setting (i32.const 0)))
    (local.set $result (call $alloc (i32.mul (local.get $len) (local.get $copies))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $copies)))
        (memory.copy
          (i32.add (local.get $result) (i32.mul (local.get $i) (local.get $len)))
          (local.get $at)
          (local.get $len))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $result) (i32.mul (local.get $len) (local.get $copies)))

  ;; A mistake: there is no such setting.
  (func $ask (export "ask") (param i32 i32) (result i32 i32)
    (call $setting (i32.const 99)) (i32.const 0))

  ;; A mistake: the plugin never answers.
  (func $stuck (export "stuck") (param i32 i32) (result i32 i32)
    (loop $forever (br $forever))
    (unreachable)))
