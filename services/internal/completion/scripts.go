package completion

import (
	"fmt"
	"strings"
)

// steps writes, for each command, a line with how it is reached: the path above it with each of its names, and its own path.
func steps(places []place, line func(from []string, to string) string) string {
	var b strings.Builder
	for _, p := range places[1:] {
		above, name := p.parent()
		var from []string
		for _, n := range namesIn(places, above, name) {
			from = append(from, above+" "+n)
		}
		b.WriteString(line(from, p.path))
	}
	return b.String()
}

func quoteEach(list []string, quote func(string) string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quote(s)
	}
	return out
}

// program puts the name of the program in.
func program(places []place, text string) string {
	return strings.ReplaceAll(text, "PROGRAM", places[0].path)
}

func double(s string) string { return `"` + s + `"` }

// single quotes a text for shells that double a quote inside one.
func single(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func bashScript(places []place) string {
	var b strings.Builder
	b.WriteString(program(places, "# Completions of PROGRAM for bash.\n_PROGRAM() {\n    local cur=\"${COMP_WORDS[COMP_CWORD]}\" at=\"PROGRAM\" i\n"+
		"    for ((i = 1; i < COMP_CWORD; i++)); do\n        case \"$at ${COMP_WORDS[i]}\" in\n"))
	b.WriteString(steps(places, func(from []string, to string) string {
		return fmt.Sprintf("            %s) at=\"%s\" ;;\n", strings.Join(quoteEach(from, double), "|"), to)
	}))
	b.WriteString("        esac\n    done\n    case \"$at\" in\n")
	for _, p := range places {
		var words []string
		for _, w := range p.words(places[0]) {
			words = append(words, w.long())
		}
		fmt.Fprintf(&b, "        \"%s\") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n", p.path, strings.Join(words, " "))
	}
	b.WriteString(program(places, "    esac\n}\ncomplete -o default -F _PROGRAM PROGRAM\n"))
	return b.String()
}

func zshScript(places []place) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	var b strings.Builder
	b.WriteString(program(places, "#compdef PROGRAM\n# Completions of PROGRAM for zsh.\n_PROGRAM() {\n    local at=PROGRAM i\n    local -a found\n"+
		"    for ((i = 2; i < CURRENT; i++)); do\n        case \"$at $words[i]\" in\n"))
	b.WriteString(steps(places, func(from []string, to string) string {
		return fmt.Sprintf("            (%s) at=\"%s\" ;;\n", strings.Join(quoteEach(from, double), "|"), to)
	}))
	b.WriteString("        esac\n    done\n    case \"$at\" in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "        (\"%s\") found=(\n", p.path)
		for _, w := range p.words(places[0]) {
			fmt.Fprintf(&b, "            %s\n", quote(strings.ReplaceAll(w.long(), ":", `\:`)+":"+w.usage))
		}
		b.WriteString("        ) ;;\n")
	}
	b.WriteString(program(places, "    esac\n    _describe PROGRAM found || _files\n}\n_PROGRAM \"$@\"\n"))
	return b.String()
}

func fishScript(places []place) string {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'" }
	var b strings.Builder
	b.WriteString(program(places, "# Completions of PROGRAM for fish.\nfunction __PROGRAM_at\n    set -l at PROGRAM\n    for word in (commandline -opc)[2..]\n        switch \"$at $word\"\n"))
	b.WriteString(steps(places, func(from []string, to string) string {
		return fmt.Sprintf("            case %s\n                set at \"%s\"\n", strings.Join(quoteEach(from, double), " "), to)
	}))
	b.WriteString("        end\n    end\n    test \"$at\" = \"$argv[1]\"\nend\n")
	for _, p := range places {
		for _, w := range p.next {
			fmt.Fprintf(&b, program(places, "complete -c PROGRAM -f -n '__PROGRAM_at \"%s\"' -a %s -d %s\n"), p.path, w.names[0], quote(w.usage))
		}
		for _, w := range p.flags {
			when := fmt.Sprintf(program(places, " -n '__PROGRAM_at \"%s\"'"), p.path)
			if p.path == places[0].path {
				when = "" // anywhere
			}
			line := program(places, "complete -c PROGRAM") + when
			for _, n := range w.names {
				if long, ok := strings.CutPrefix(n, "--"); ok {
					line += " -l " + long
				} else {
					line += " -s " + strings.TrimPrefix(n, "-")
				}
			}
			fmt.Fprintf(&b, "%s -d %s\n", line, quote(w.usage))
		}
	}
	return b.String()
}

func powershellScript(places []place) string {
	var b strings.Builder
	b.WriteString(program(places, "# Completions of PROGRAM for PowerShell.\nRegister-ArgumentCompleter -Native -CommandName 'PROGRAM' -ScriptBlock {\n"+
		"    param($wordToComplete, $commandAst, $cursorPosition)\n    $at = 'PROGRAM'\n"+
		"    foreach ($element in @($commandAst.CommandElements | Select-Object -Skip 1)) {\n"+
		"        if ($element.Extent.EndOffset -ge $cursorPosition) { break }\n        switch (\"$at $element\") {\n"))
	b.WriteString(steps(places, func(from []string, to string) string {
		return fmt.Sprintf("            { $_ -in %s } { $at = %s; break }\n", strings.Join(quoteEach(from, single), ", "), single(to))
	}))
	b.WriteString("        }\n    }\n    $found = switch ($at) {\n")
	for _, p := range places {
		fmt.Fprintf(&b, "        %s {\n", single(p.path))
		for _, w := range p.words(places[0]) {
			usage := w.usage
			if usage == "" {
				usage = w.long() // it must not be empty
			}
			fmt.Fprintf(&b, "            [System.Management.Automation.CompletionResult]::new(%s, %s, 'ParameterValue', %s)\n", single(w.long()), single(w.long()), single(usage))
		}
		b.WriteString("            break\n        }\n")
	}
	b.WriteString("    }\n    $found | Where-Object { $_.CompletionText -like \"$wordToComplete*\" }\n}\n")
	return b.String()
}

func elvishScript(places []place) string {
	var b strings.Builder
	b.WriteString(program(places, "# Completions of PROGRAM for elvish.\nvar reached = [\n"))
	b.WriteString(steps(places, func(from []string, to string) string {
		line := ""
		for _, f := range from {
			line += fmt.Sprintf("    &%s=%s\n", single(f), single(to))
		}
		return line
	}))
	b.WriteString("]\nvar offered = [\n")
	for _, p := range places {
		var words []string
		for _, w := range p.words(places[0]) {
			words = append(words, "["+single(w.long())+" "+single(w.usage)+"]")
		}
		fmt.Fprintf(&b, "    &%s=[%s]\n", single(p.path), strings.Join(words, " "))
	}
	b.WriteString(program(places, "]\nset edit:completion:arg-completer[PROGRAM] = {|@words|\n    var at = PROGRAM\n    for word $words[1..-1] {\n"+
		"        if (has-key $reached $at' '$word) {\n            set at = $reached[$at' '$word]\n        }\n    }\n"+
		"    for entry $offered[$at] {\n        edit:complex-candidate $entry[0] &display=$entry[0]'  '$entry[1]\n    }\n}\n"))
	return b.String()
}
