package plan

import (
	"encoding/json"
	"fmt"
	"strings"
)

// heading names the columns of a statement that have no name, as its clients know them. What is not known here keeps
// the name that the engine gives.
func heading(n node) {
	for text(n, "type") == "SET_OPERATION_NODE" {
		left := nodes(n, "children")
		if len(left) == 0 {
			left = []node{child(n, "left")}
		}
		n = left[0]
	}
	h := headings{}
	if from := child(n, "from_table"); text(from, "type") != "JOIN" {
		h.table = strings.ToLower(text(from, "alias"))
		if h.table == "" {
			h.table = strings.ToLower(text(from, "table_name"))
		}
	}
	for _, item := range nodes(n, "select_list") {
		switch {
		case text(item, "alias") != "" || text(item, "class") == "STAR":
		case text(item, "class") == "COLUMN_REF":
			written := list(item, "column_names")
			if column := columnOf(item); len(column) > 0 && written[len(written)-1] != column[len(column)-1] {
				item["alias"] = column[len(column)-1] // names are folded
			}
		default:
			if name, ok := h.of(item); ok {
				item["alias"] = name
			}
		}
	}
}

type headings struct {
	table string // what unqualified columns belong to; "" if that is not plain to see
}

// operators are the comparisons and conjunctions.
var operators = map[string]string{
	"COMPARE_EQUAL": "=", "COMPARE_NOTEQUAL": "!=", "COMPARE_LESSTHAN": "<", "COMPARE_GREATERTHAN": ">",
	"COMPARE_LESSTHANOREQUALTO": "<=", "COMPARE_GREATERTHANOREQUALTO": ">=",
	"CONJUNCTION_AND": "AND", "CONJUNCTION_OR": "OR",
}

// written are operators that the parser makes functions of.
var written = map[string]string{"~~": "LIKE", "!~~": "NOT LIKE", "~~*": "ILIKE", "!~~*": "NOT ILIKE"}

func (h headings) of(n node) (string, bool) {
	switch text(n, "class") {
	case "CONSTANT":
		return headingOfConstant(n)
	case "COLUMN_REF":
		column := columnOf(n)
		if len(column) == 1 && h.table == "" {
			return "", false
		}
		if len(column) == 1 {
			column = []string{h.table, column[0]}
		}
		return strings.Join(column, "."), true
	case "CAST":
		if inner := child(n, "child"); text(inner, "class") == "CONSTANT" && text(child(n, "cast_type"), "id") == "BOOLEAN" {
			value, _ := constant(inner)
			return fmt.Sprintf("Boolean(%t)", value == "t"), value == "t" || value == "f"
		}
		return h.of(child(n, "child"))
	case "COMPARISON":
		return h.joined([]node{child(n, "left"), child(n, "right")}, " "+operators[text(n, "type")]+" ", operators[text(n, "type")] != "")
	case "CONJUNCTION":
		return h.joined(nodes(n, "children"), " "+operators[text(n, "type")]+" ", true)
	case "OPERATOR":
		return h.operator(n)
	case "FUNCTION":
		return h.function(n)
	default:
		return "", false
	}
}

func headingOfConstant(n node) (string, bool) {
	value := child(n, "value")
	if null, _ := value["is_null"].(bool); null {
		return "NULL", true
	}
	switch v := value["value"].(type) {
	case string:
		return fmt.Sprintf("Utf8(%q)", v), text(child(value, "type"), "id") == "VARCHAR"
	case json.Number:
		switch text(child(value, "type"), "id") {
		case "INTEGER", "BIGINT":
			return "Int64(" + v.String() + ")", true
		case "DOUBLE":
			return "Float64(" + v.String() + ")", true
		case "DECIMAL":
			info := child(child(value, "type"), "type_info")
			scale, ok := limitOf(node{"class": "CONSTANT", "value": node{"value": info["scale"]}})
			digits := v.String()
			if !ok || scale == 0 || strings.HasPrefix(digits, "-") {
				return "", false
			}
			for len(digits) <= int(scale) {
				digits = "0" + digits
			}
			at := len(digits) - int(scale)
			return "Float64(" + strings.TrimSuffix(strings.TrimRight(digits[:at]+"."+digits[at:], "0"), ".") + ")", true
		}
	}
	return "", false
}

func (h headings) joined(of []node, by string, ok bool) (string, bool) {
	parts := make([]string, len(of))
	for i, n := range of {
		part, known := h.of(n)
		if ok = ok && known; !ok {
			return "", false
		}
		parts[i] = part
	}
	return strings.Join(parts, by), ok
}

func (h headings) operator(n node) (string, bool) {
	children := nodes(n, "children")
	if len(children) == 0 {
		return "", false
	}
	first, ok := h.of(children[0])
	switch text(n, "type") {
	case "OPERATOR_IS_NULL":
		return first + " IS NULL", ok
	case "OPERATOR_IS_NOT_NULL":
		return first + " IS NOT NULL", ok
	case "OPERATOR_NOT":
		return "NOT " + first, ok
	case "OPERATOR_COALESCE":
		args, ok := h.joined(children, ",", true)
		return "coalesce(" + args + ")", ok
	case "COMPARE_IN", "COMPARE_NOT_IN":
		values, known := h.joined(children[1:], ", ", ok)
		if text(n, "type") == "COMPARE_IN" {
			return first + " IN " + values, known
		}
		return first + " NOT IN " + values, known
	default:
		return "", false
	}
}

func (h headings) function(n node) (string, bool) {
	name := strings.ToLower(text(n, "function_name"))
	if len(list(child(n, "order_bys"), "orders")) > 0 {
		return "", false
	}
	args := nodes(n, "children")
	sign := written[name]
	if operator, _ := n["is_operator"].(bool); operator && sign == "" {
		sign = name
	}
	if sign != "" && len(args) == 2 {
		return h.joined(args, " "+sign+" ", true)
	}
	inner, ok := h.joined(args, ",", true)
	if name == "count_star" {
		name, inner = "count", "*"
	}
	if distinct, _ := n["distinct"].(bool); distinct {
		inner = "DISTINCT " + inner
	}
	out := name + "(" + inner + ")"
	if filter := child(n, "filter"); filter != nil && ok {
		condition, known := h.of(filter)
		return out + " FILTER (WHERE " + condition + ")", known
	}
	return out, ok
}
