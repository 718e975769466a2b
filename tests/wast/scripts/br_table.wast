;; Jump tables: many targets, values that go along, and every index that is out
;; of the table.

;; One block for each of 64 targets; the function says which one it left by.
(module
  (func (export "which") (param i32) (result i32)
    (block $b64
    (block $b63
    (block $b62
    (block $b61
    (block $b60
    (block $b59
    (block $b58
    (block $b57
    (block $b56
    (block $b55
    (block $b54
    (block $b53
    (block $b52
    (block $b51
    (block $b50
    (block $b49
    (block $b48
    (block $b47
    (block $b46
    (block $b45
    (block $b44
    (block $b43
    (block $b42
    (block $b41
    (block $b40
    (block $b39
    (block $b38
    (block $b37
    (block $b36
    (block $b35
    (block $b34
    (block $b33
    (block $b32
    (block $b31
    (block $b30
    (block $b29
    (block $b28
    (block $b27
    (block $b26
    (block $b25
    (block $b24
    (block $b23
    (block $b22
    (block $b21
    (block $b20
    (block $b19
    (block $b18
    (block $b17
    (block $b16
    (block $b15
    (block $b14
    (block $b13
    (block $b12
    (block $b11
    (block $b10
    (block $b9
    (block $b8
    (block $b7
    (block $b6
    (block $b5
    (block $b4
    (block $b3
    (block $b2
    (block $b1
    (block $b0
      (br_table $b0 $b1 $b2 $b3 $b4 $b5 $b6 $b7 $b8 $b9 $b10 $b11 $b12 $b13 $b14 $b15 $b16 $b17 $b18 $b19 $b20 $b21 $b22 $b23 $b24 $b25 $b26 $b27 $b28 $b29 $b30 $b31 $b32 $b33 $b34 $b35 $b36 $b37 $b38 $b39 $b40 $b41 $b42 $b43 $b44 $b45 $b46 $b47 $b48 $b49 $b50 $b51 $b52 $b53 $b54 $b55 $b56 $b57 $b58 $b59 $b60 $b61 $b62 $b63 $b64 (local.get 0))
    ) (return (i32.const 1000))
    ) (return (i32.const 1001))
    ) (return (i32.const 1002))
    ) (return (i32.const 1003))
    ) (return (i32.const 1004))
    ) (return (i32.const 1005))
    ) (return (i32.const 1006))
    ) (return (i32.const 1007))
    ) (return (i32.const 1008))
    ) (return (i32.const 1009))
    ) (return (i32.const 1010))
    ) (return (i32.const 1011))
    ) (return (i32.const 1012))
    ) (return (i32.const 1013))
    ) (return (i32.const 1014))
    ) (return (i32.const 1015))
    ) (return (i32.const 1016))
    ) (return (i32.const 1017))
    ) (return (i32.const 1018))
    ) (return (i32.const 1019))
    ) (return (i32.const 1020))
    ) (return (i32.const 1021))
    ) (return (i32.const 1022))
    ) (return (i32.const 1023))
    ) (return (i32.const 1024))
    ) (return (i32.const 1025))
    ) (return (i32.const 1026))
    ) (return (i32.const 1027))
    ) (return (i32.const 1028))
    ) (return (i32.const 1029))
    ) (return (i32.const 1030))
    ) (return (i32.const 1031))
    ) (return (i32.const 1032))
    ) (return (i32.const 1033))
    ) (return (i32.const 1034))
    ) (return (i32.const 1035))
    ) (return (i32.const 1036))
    ) (return (i32.const 1037))
    ) (return (i32.const 1038))
    ) (return (i32.const 1039))
    ) (return (i32.const 1040))
    ) (return (i32.const 1041))
    ) (return (i32.const 1042))
    ) (return (i32.const 1043))
    ) (return (i32.const 1044))
    ) (return (i32.const 1045))
    ) (return (i32.const 1046))
    ) (return (i32.const 1047))
    ) (return (i32.const 1048))
    ) (return (i32.const 1049))
    ) (return (i32.const 1050))
    ) (return (i32.const 1051))
    ) (return (i32.const 1052))
    ) (return (i32.const 1053))
    ) (return (i32.const 1054))
    ) (return (i32.const 1055))
    ) (return (i32.const 1056))
    ) (return (i32.const 1057))
    ) (return (i32.const 1058))
    ) (return (i32.const 1059))
    ) (return (i32.const 1060))
    ) (return (i32.const 1061))
    ) (return (i32.const 1062))
    ) (return (i32.const 1063))
    ) (i32.const -1)
  ))
(assert_return (invoke "which" (i32.const 0)) (i32.const 1000))
(assert_return (invoke "which" (i32.const 1)) (i32.const 1001))
(assert_return (invoke "which" (i32.const 2)) (i32.const 1002))
(assert_return (invoke "which" (i32.const 31)) (i32.const 1031))
(assert_return (invoke "which" (i32.const 32)) (i32.const 1032))
(assert_return (invoke "which" (i32.const 33)) (i32.const 1033))
(assert_return (invoke "which" (i32.const 62)) (i32.const 1062))
(assert_return (invoke "which" (i32.const 63)) (i32.const 1063))
(assert_return (invoke "which" (i32.const 64)) (i32.const -1))
(assert_return (invoke "which" (i32.const 65)) (i32.const -1))
(assert_return (invoke "which" (i32.const 127)) (i32.const -1))
(assert_return (invoke "which" (i32.const 0x7fffffff)) (i32.const -1))
(assert_return (invoke "which" (i32.const 0x80000000)) (i32.const -1))
(assert_return (invoke "which" (i32.const -1)) (i32.const -1))

;; One thousand entries for three targets, each of which takes a value.
(module
  (func (export "value") (param $index i32) (param $value i64) (result i64)
    (block $two (result i64)
      (block $one (result i64)
        (block $zero (result i64)
          (local.get $value)
          (br_table
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two
            $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one
            $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero $one $two $zero
            $two (local.get $index)))
        (return (i64.add (i64.const 100))))
      (return (i64.add (i64.const 200))))
    (i64.add (i64.const 300))))
(assert_return (invoke "value" (i32.const 0) (i64.const 7)) (i64.const 107))
(assert_return (invoke "value" (i32.const 1) (i64.const 7)) (i64.const 207))
(assert_return (invoke "value" (i32.const 2) (i64.const 7)) (i64.const 307))
(assert_return (invoke "value" (i32.const 3) (i64.const 7)) (i64.const 107))
(assert_return (invoke "value" (i32.const 499) (i64.const 7)) (i64.const 207))
(assert_return (invoke "value" (i32.const 500) (i64.const 7)) (i64.const 307))
(assert_return (invoke "value" (i32.const 997) (i64.const 7)) (i64.const 207))
(assert_return (invoke "value" (i32.const 998) (i64.const 7)) (i64.const 307))
(assert_return (invoke "value" (i32.const 999) (i64.const 7)) (i64.const 107))
(assert_return (invoke "value" (i32.const 1000) (i64.const 7)) (i64.const 307))
(assert_return (invoke "value" (i32.const 1001) (i64.const 7)) (i64.const 307))
(assert_return (invoke "value" (i32.const -1) (i64.const 7)) (i64.const 307))

;; Several values, the parameters of a loop, and the body of the function.
(module
  (func (export "several") (param i32) (result i32 f64 i64)
    (block $b (result i32 f64 i64)
      (block $a (result i32 f64 i64)
        (i32.const 1) (f64.const 2) (i64.const 3)
        (br_table $a $b (local.get 0)))
      (return (i32.const 10) (f64.const 20) (i64.const 30)))
    (drop) (drop) (drop)
    (i32.const 100) (f64.const 200) (i64.const 300))
  (func (export "function body") (param i32) (result i32 i32)
    (block $out (result i32 i32)
      (i32.const 5) (i32.const 6)
      (br_table $out 1 (local.get 0)))
    (i32.const 1) (i32.add))
  ;; The sum of the numbers up to n, by a loop with two parameters.
  (func (export "sum") (param $n i32) (result i32)
    (i32.const 0) (local.get $n)
    (block $done (param i32 i32) (result i32 i32)
      (loop $next (param i32 i32) (result i32 i32)
        (local.set $n)
        (i32.add (local.get $n))
        (i32.sub (local.get $n) (i32.const 1))
        (br_table $done $next (i32.ne (local.get $n) (i32.const 1)))))
    (drop))
  (func (export "only the default") (param i32) (result i32)
    (block $b (result i32) (br_table $b (i32.const 8) (local.get 0))))
  (func (export "constant index") (result i32)
    (block $c (block $b (block $a (br_table $a $b $c (i32.const 1)))
      (return (i32.const 1))) (return (i32.const 2))) (i32.const 3))
  ;; The value comes before the index, and both have effects.
  (global $order (mut i32) (i32.const 0))
  (func $note (param i32) (result i32)
    (global.set $order (i32.add (i32.mul (global.get $order) (i32.const 10)) (local.get 0)))
    (local.get 0))
  (func (export "order") (result i32)
    (drop (block $a (result i32) (br_table $a $a (call $note (i32.const 1)) (call $note (i32.const 2)))))
    (global.get $order))
)
(assert_return (invoke "several" (i32.const 0)) (i32.const 10) (f64.const 20) (i64.const 30))
(assert_return (invoke "several" (i32.const 1)) (i32.const 100) (f64.const 200) (i64.const 300))
(assert_return (invoke "several" (i32.const -1)) (i32.const 100) (f64.const 200) (i64.const 300))
(assert_return (invoke "function body" (i32.const 0)) (i32.const 5) (i32.const 7))
(assert_return (invoke "function body" (i32.const 1)) (i32.const 5) (i32.const 6))
(assert_return (invoke "sum" (i32.const 1)) (i32.const 1))
(assert_return (invoke "sum" (i32.const 100)) (i32.const 5050))
(assert_return (invoke "only the default" (i32.const 0)) (i32.const 8))
(assert_return (invoke "only the default" (i32.const -1)) (i32.const 8))
(assert_return (invoke "constant index") (i32.const 2))
(assert_return (invoke "order") (i32.const 12))
