"""What the corpus cannot have, because the tool is not at hand here: formats as their documentation shows them."""

from __future__ import annotations

import pytest

from bot.findings import Finding
from bot.sentinel.sentinel import Sentinel

FORMATS = {
    "dotnet with lines": (
        (
            "Unhandled exception. System.InvalidOperationException: bad state\n"
            " ---> System.FormatException: Input string was not in a correct format.\n"
            "   at System.Number.ThrowOverflowOrFormatException(ParsingStatus status)\n"
            "   at Shop.Config.Port() in /src/Shop/Config.cs:line 12\n"
            "   --- End of inner exception stack trace ---\n"
            "   at Shop.Config.Load() in /src/Shop/Config.cs:line 20\n"
            "   at Program.Main(String[] args) in /src/Shop/Program.cs:line 5\n"
        ),
        ("dotnet", "System.InvalidOperationException", "/src/Shop/Config.cs", 20),
    ),
    "asp.net log": (
        (
            "fail: Microsoft.AspNetCore.Server.Kestrel[13]\n"
            '      Connection id "0HM", Request id "0HM:1": An unhandled exception was thrown by the application.\n'
            "      System.NullReferenceException: Object reference not set to an instance of an object.\n"
            "         at Web.OrdersController.Get(Int32 id) in C:\\src\\Web\\OrdersController.cs:line 31\n"
            "         at Microsoft.AspNetCore.Mvc.Infrastructure.ActionMethodExecutor.Execute()\n"
            "info: Microsoft.Hosting.Lifetime[0]\n"
        ),
        ("dotnet", "System.NullReferenceException", "C:\\src\\Web\\OrdersController.cs", 31),
    ),
    "msbuild": (
        (
            "  Determining projects to restore...\n"
            "/src/App/Program.cs(9,17): error CS1061: 'string' does not contain a definition for 'Foo' "
            "[/src/App/App.csproj]\n\nBuild FAILED.\n    0 Warning(s)\n    1 Error(s)\n"
        ),
        ("dotnet", "CS1061", "/src/App/Program.cs", 9),
    ),
    "nuget": (
        "/src/App/App.csproj : error NU1101: Unable to find package Nope. No packages exist with this id\n",
        ("dotnet", "NU1101", "/src/App/App.csproj", None),
    ),
    "dotnet test": (
        (
            "  Failed Shop.Tests.CartTest.Adds [12 ms]\n  Error Message:\n   Assert.Equal() Failure\nExpected: 5\n"
            "Actual:   4\n  Stack Trace:\n     at Shop.Tests.CartTest.Adds() in /src/Tests/CartTest.cs:line 14\n"
            "\nFailed!  - Failed:     1, Passed:     3\n"
        ),
        ("dotnet", "", "/src/Tests/CartTest.cs", 14),
    ),
    "msvc": ("main.cpp(12,5): error C2065: 'x': undeclared identifier\n", ("c", "C2065", "main.cpp", 12)),
    "msvc linker": (
        'main.obj : error LNK2019: unresolved external symbol "int f(void)" referenced in function main\n',
        ("c", "LNK2019", "main.obj", None),
    ),
    "rails": (
        (
            "I, [2026-03-01T10:00:00.1 #12]  INFO -- : Completed 500 Internal Server Error in 12ms\n"
            "  \nNoMethodError (undefined method `name' for nil:NilClass):\n  \n"
            "app/controllers/users_controller.rb:8:in `show'\n"
        ),
        ("ruby", "NoMethodError", "app/controllers/users_controller.rb", 8),
    ),
    "ruby 3.4": (
        (
            "app.rb:2:in 'Integer#/': divided by 0 (ZeroDivisionError)\n\tfrom app.rb:2:in 'Object#mean'\n"
            "\tfrom app.rb:4:in '<main>'\n"
        ),
        ("ruby", "ZeroDivisionError", "app.rb", 2),
    ),
    "laravel": (
        (
            '[2026-03-01 10:00:00] local.ERROR: no such order {"exception":"[object] (RuntimeException(code: 0): '
            'no such order at /var/www/app/Http/Orders.php:44)\n[stacktrace]\n#0 /var/www/vendor/x.php(3): f()\n"}\n'
        ),
        ("php", "RuntimeException", "/var/www/app/Http/Orders.php", 44),
    ),
    "php in a page": (
        (
            "<br />\n<b>Fatal error</b>:  Uncaught Error: Call to undefined function f() in /var/www/a.php:3\n"
            "Stack trace:\n#0 {main}\n  thrown in <b>/var/www/a.php</b> on line <b>3</b><br />\n"
        ),
        ("php", "Error", "/var/www/a.php", 3),
    ),
    "maven": (
        (
            "[INFO] Compiling 3 source files\n[ERROR] COMPILATION ERROR : \n"
            "[ERROR] /home/ci/app/src/main/java/app/Main.java:[14,9] cannot find symbol\n"
            "[INFO] 1 error\n"
        ),
        ("java", "error", "/home/ci/app/src/main/java/app/Main.java", 14),
    ),
    "kotlin": (
        "e: file:///home/ci/app/src/Main.kt:7:13 Unresolved reference: foo\n",
        ("java", "error", "/home/ci/app/src/Main.kt", 7),
    ),
    "spring": (
        (
            "2026-03-01 10:00:00.123 ERROR 1 --- [nio-8080-exec-1] o.a.c.c.C.[.[.[/].[dispatcherServlet] : "
            "Servlet threw\n\n"
            'java.lang.NullPointerException: Cannot invoke "String.length()" because "s" is null\n'
            "\tat java.base/java.util.Objects.requireNonNull(Objects.java:209) ~[na:na]\n"
            "\tat com.acme.shop.Cart.total(Cart.java:42) ~[classes!/:1.0]\n"
            "\tat org.springframework.web.Foo.bar(Foo.java:10) ~[spring-web-6.jar!/:6.0]\n"
        ),
        ("java", "java.lang.NullPointerException", "Cart.java", 42),
    ),
    "dockerfile": (
        (
            "#8 [3/4] RUN make\n#8 0.312 building\n#8 ERROR: process did not complete\n------\n > [3/4] RUN make:\n"
            "0.312 building\n------\nDockerfile:5\n--------------------\n   3 |     COPY . .\n   5 | >>> RUN make\n"
            '--------------------\nERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: '
            "exit code: 2\n"
        ),
        ("docker", "", "Dockerfile", 5),
    ),
    "npm not found": (
        (
            "npm ERR! code E404\nnpm ERR! 404 Not Found - GET https://example.org/nope - Not found\n"
            "npm ERR! 404  'nope@*' is not in this registry.\nnpm ERR! A complete log of this run can be found "
            "in: x.log\n"
        ),
        ("npm", "E404", None, None),
    ),
    "npm conflict": (
        (
            "npm error code ERESOLVE\nnpm error ERESOLVE unable to resolve dependency tree\nnpm error\n"
            "npm error While resolving: app@1.0.0\n"
        ),
        ("npm", "ERESOLVE", None, None),
    ),
    "pnpm": (
        " ERR_PNPM_NO_MATCHING_VERSION  No matching version found for x@9\n",
        ("pnpm", "ERR_PNPM_NO_MATCHING_VERSION", None, None),
    ),
    "powershell": (
        (
            "foo : The term 'foo' is not recognized as the name of a cmdlet, function, "
            "script file, or operable program.\n"
            "At C:\\work\\build.ps1:3 char:1\n+ foo\n+ ~~~\n    + CategoryInfo         "
            " : ObjectNotFound: (foo:String)\n"
            "    + FullyQualifiedErrorId : CommandNotFoundException\n"
        ),
        ("shell", "CommandNotFoundException", "C:\\work\\build.ps1", 3),
    ),
    "cmd": (
        "'foo' is not recognized as an internal or external command,\noperable program or batch file.\n",
        ("shell", "command not found", None, None),
    ),
    "zsh": ("zsh: command not found: foo\n", ("shell", "command not found", None, None)),
    "bash prompt": ("bash: foo: command not found\n", ("shell", "command not found", None, None)),
    "segfault": (
        "./run.sh: line 7: 12345 Segmentation fault      (core dumped) ./a.out\n",
        ("shell", "Segmentation fault", "./run.sh", 7),
    ),
    "go http": (
        (
            "2026/03/01 10:00:00 http: panic serving 127.0.0.1:5000: runtime error: inv"
            "alid memory address or nil pointer "
            "dereference\ngoroutine 6 [running]:\nnet/http.(*conn).serve.func1()\n"
            "\t/usr/local/go/src/net/http/server.go:1854 +0xbf\nmain.handler({0x1, 0x2}, 0x3)\n"
            "\t/srv/app/main.go:15 +0x1d\n"
        ),
        ("go", "panic", "/srv/app/main.go", 15),
    ),
    "go stack overflow": (
        (
            "runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n\nruntime stack:\n"
            "runtime.throw({0x46581a?, 0x4bc880?})\n"
            "\t/usr/lib/go-1.19/src/runtime/panic.go:1047 +0x5d fp=0x7ff sp=0x7fe pc=0x42d93d\n\n"
            "goroutine 1 [running]:\nmain.f(0x15?)\n\t/srv/app/s.go:2 +0x33 fp=0xc02 sp=0xc01 pc=0x457c93\n"
        ),
        ("go", "fatal error", "/srv/app/s.go", 2),
    ),
    "testify": (
        (
            "--- FAIL: TestTotal (0.00s)\n    cart_test.go:12: \n        \tError Trace:\t/srv/app/cart_test.go:12\n"
            "        \tError:      \tNot equal: \n        \t            \texpected: 5\n"
            "        \tTest:       \tTestTotal\n"
            "FAIL\n"
        ),
        ("go", "FAIL", "/srv/app/cart_test.go", 12),
    ),
    "rust before 1.73": (
        (
            "thread 'main' panicked at 'index out of bounds: the len is 3 but the index is 9', src/main.rs:4:5\n"
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"
        ),
        ("rust", "panic", "src/main.rs", 4),
    ),
    "anyhow": (
        "Error: cannot read the configuration\n\nCaused by:\n    No such file or directory (os error 2)\n",
        ("rust", "Error", None, None),
    ),
    "esbuild": (
        (
            '✘ [ERROR] Could not resolve "./nope"\n\n    src/app.js:3:19:\n      3 │ import x from "./nope"\n'
            "        ╵               ~~~~~~~~\n"
        ),
        ("node", "", "src/app.js", 3),
    ),
    "eslint unix": (
        "/srv/app/a.js:3:5: 'x' is not defined. [Error/no-undef]\n",
        ("eslint", "no-undef", "/srv/app/a.js", 3),
    ),
    "python 3.13": (
        (
            'Traceback (most recent call last):\n  File "/srv/app/main.py", line 9, in '
            "<module>\n    run(3)\n    ~~~^^^\n"
            '  File "/srv/app/run.py", line 2, in run\n    return n / 0\n           ~~^~~\n'
            "ZeroDivisionError: division by zero\n"
        ),
        ("python", "ZeroDivisionError", "/srv/app/run.py", 2),
    ),
    "celery": (
        (
            "[2026-03-01 10:00:00,123: ERROR/ForkPoolWorker-1] Task app.add[7f1d] raised unexpected: TypeError('x')\n"
            'Traceback (most recent call last):\n  File "/usr/lib/python3/site-packages'
            '/celery/app/trace.py", line 451, in t\n'
            '    R = retval = fun(*args, **kwargs)\n  File "/srv/app/tasks.py", line 8, in add\n    return x + y\n'
            "TypeError: unsupported operand type(s) for +: 'int' and 'str'\n"
        ),
        ("python", "TypeError", "/srv/app/tasks.py", 8),
    ),
    "journal": (
        (
            "Mar 01 10:00:00 box app[77]: Traceback (most recent call last):\n"
            'Mar 01 10:00:00 box app[77]:   File "/srv/app/main.py", line 3, in <module>\n'
            "Mar 01 10:00:00 box cron[5]: something else\n"
            "Mar 01 10:00:00 box app[77]:     main()\n"
            "Mar 01 10:00:00 box app[77]: KeyError: 'a'\n"
        ),
        ("python", "KeyError", "/srv/app/main.py", 3),
    ),
    "pydantic": (
        (
            'Traceback (most recent call last):\n  File "/srv/app/main.py", line 6, in <module>\n    User(age="x")\n'
            '  File "/srv/.venv/lib/python3.11/site-packages/pydantic/main.py", line 25'
            "0, in __init__\n    validated = 1\n"
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for User\nage\n  Input should be a valid "
            "integer [type=int_parsing, input_value='x', input_type=str]\n"
        ),
        ("python", "pydantic_core._pydantic_core.ValidationError", "/srv/app/main.py", 6),
    ),
    "windows python": (
        (
            'Traceback (most recent call last):\r\n  File "C:\\work\\app\\main.py", line 4, in <module>\r\n    f()\r\n'
            '  File "C:\\Python311\\Lib\\json\\decoder.py", line 355, in raw_decode\r\n    raise x\r\n'
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)\r\n"
        ),
        ("python", "json.decoder.JSONDecodeError", "C:\\work\\app\\main.py", 4),
    ),
    "browser": (
        (
            "Uncaught TypeError: Cannot read properties of null (reading 'x')\n    at render "
            "(http://localhost:3000/app.js:10:5)\n"
        ),
        ("node", "TypeError", "http://localhost:3000/app.js", 10),
    ),
    "bats": (
        "not ok 2 adds\n# (in test file add.bats, line 5)\n#   `[ 1 -eq 2 ]' failed\n",
        None,
    ),
    "clang-tidy": (
        "/srv/app/a.cpp:3:7: error: variable 'x' is not initialized [cppcoreguidelines-init-variables]\n",
        ("c", "error", "/srv/app/a.cpp", 3),
    ),
    "swift": (
        "/srv/app/main.swift:3:5: error: cannot find 'foo' in scope\n",
        ("swift", "error", "/srv/app/main.swift", 3),
    ),
    "lld": (
        "ld.lld: error: undefined symbol: helper\n>>> referenced by main.c\n",
        ("c", "undefined symbol", None, None),
    ),
    "stopped build": (
        "make[1]: *** [Makefile:12: build] Error 127\nmake: *** [Makefile:3: all] Error 2\n",
        ("make", "Error 127", "Makefile", 12),
    ),
}
QUIET = {
    "levels": (
        "2026-03-01 10:00:00 ERROR Failed to connect to the database\n2026-03-01 10:00:00 WARN error budget low\n"
    ),
    "prose": "I get a TypeError: x is not a function, at least I think so.\n    at home it works\n",
    "code": 'throw new Error("x");\n  raise ValueError("bad")\n  panic("never")\n',
    "listing": "error.log  exceptions.py  panic.go  main.c:3\n",
    "counts": (
        "Found 0 errors. Watching for file changes.\n0 errors, 0 warnings\nBUILD SUCCESSFUL\nFailed: 0, Passed: 12\n"
    ),
    "warnings": "src/a.ts:3:5 - warning TS6133: unused\na.c:3:5: warning: unused variable 'error'\n",
    "go log": "2026/03/01 10:00:00 main.go:12: error rate is 0\n",
    "json": '{"level":"error","stack":"Error: x\\n    at f (/a.js:1:2)"}\n',
    "hunk": "@@ -1,2 +1,3 @@\n Traceback (most recent call last):\n+panic: x\n+main.c:1:1: error: y\n KeyError: 'a'\n",
    "table": "| ValueError: x | main.c:1:1: error: y |\n",
    "lookup": "web server | name or service not found, using default\n",
    "nginx": '10.0.0.1 - - [01/Mar/2026:10:00:00 +0000] "GET /x HTTP/1.1" 404 15 "-" "error: x"\n',
    "question": "Error: do you want to continue? [y/N]\n",
    "interrupted": (
        'Traceback (most recent call last):\n  File "/a.py", line 1, in <module>\n    f()\nKeyboardInterrupt\n'
    ),
    "doctest": ">>> 1 / 0\nTraceback (most recent call last):\n    ...\nZeroDivisionError: division by zero\n",
    "passing": "--- PASS: TestError (0.00s)\n    a_test.go:3: error: as expected\nPASS\nok  \texample.com/x\t0.01s\n",
}


def read(text: str) -> list[Finding]:
    sentinel = Sentinel(lambda: 0.0)
    found = (*sentinel.feed("x", text.encode()), *sentinel.flush("x"))
    return list({finding.fingerprint: finding for finding in found}.values())


@pytest.mark.parametrize("name", FORMATS)
def test_format(name: str) -> None:
    text, wanted = FORMATS[name]
    found = [
        (f.language, f.type, f.top.path.removeprefix("file://") if f.top else None, f.top.line if f.top else None)
        for f in read(text)
    ]
    assert found == ([wanted] if wanted else [])


@pytest.mark.parametrize("name", QUIET)
def test_quiet(name: str) -> None:
    assert read(QUIET[name]) == []
