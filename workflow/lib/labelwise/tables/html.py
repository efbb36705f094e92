"""A table as an HTML fragment with its own small style."""

import jinja2

from labelwise.tables import answers, style

HTML = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
<figure class="labelwise-table" id="table-{{ table.name }}">
<style>
.labelwise-table{margin:1em 0;overflow-x:auto;font:13px/1.35 system-ui,sans-serif}
.labelwise-table table{border-collapse:collapse;border-bottom:2px solid}
.labelwise-table figcaption{max-width:70em}
.labelwise-table caption{text-align:left;white-space:nowrap;font-weight:600;padding:.8em 0 .7em}
.labelwise-table thead th{border-top:2px solid;vertical-align:bottom}
.labelwise-table th,.labelwise-table td{padding:.2em .45em;text-align:right;vertical-align:top}
.labelwise-table tbody th{font-weight:normal}
.labelwise-table td,.labelwise-table tbody th{white-space:nowrap;font-variant-numeric:tabular-nums}
.labelwise-table thead th{font-weight:600}
.labelwise-table th.stub,.labelwise-table td.note,.labelwise-table td.text{text-align:left}
.labelwise-table td.text{white-space:normal;min-width:8em}
.labelwise-table tbody th.stub{white-space:normal;max-width:15em}
.labelwise-table tbody{border-top:1px solid}
.labelwise-table th.group{text-align:left;font-style:italic}
.labelwise-table small{display:block;font-size:78%;font-weight:normal;opacity:.75}
.labelwise-table .more{font-size:82%}
</style>
<figcaption><strong>{{ table.title }}</strong> {{ table.text }}</figcaption>
{% if table.note %}
<p><em>{{ table.note }}</em></p>
{% endif %}
{% for panel in table.panels %}
<table>
<caption>{{ panel.title }}</caption>
<thead>
<tr>
{% for stub in panel.stubs %}<th scope="col" class="stub">{{ stub }}</th>{% endfor %}
{% for column in panel.columns %}
<th scope="col"{% if column.unit == "text" %} class="stub"{% endif %}>\
{{ true_minus(column.label) }}<small>{{ header_n(panel, loop.index0) }}</small></th>
{% endfor %}
</tr>
</thead>
{% for title, rows in panel.groups %}
<tbody>
{% if title %}
<tr><th scope="rowgroup" class="group" colspan="{{ panel.stubs|length + panel.columns|length }}">\
{{ title }}</th></tr>
{% endif %}
{% for row in rows %}
<tr>
{% for text, small in row.stubs %}
<th scope="row" class="stub">{{ text }}{% if small %}<small>{{ small }}</small>{% endif %}</th>
{% endfor %}
{% if row.note %}
<td class="note" colspan="{{ panel.columns|length }}"><em>{{ row.note }}</em></td>
{% else %}
{% for own in row.cells %}
{% set unit = panel.columns[loop.index0].unit %}
{% set told = answered(row, panel.columns[loop.index0])|join(", ") %}
<td{% if unit == "text" %} class="text"{% elif told %} title="{{ told }}"{% endif %}>\
{% if own.best %}<b>{{ number(own, unit) }}</b>{% else %}{{ number(own, unit) }}{% endif %}
{% if extras(own, unit) %} <span class="more">{{ extras(own, unit) }}</span>{% endif %}
{% if interval(own, unit) %}<small>{{ interval(own, unit) }}</small>{% endif %}</td>
{% endfor %}
{% endif %}
</tr>
{% endfor %}
</tbody>
{% endfor %}
</table>
{% endfor %}
</figure>
"""
)


def to_html(table: style.Table) -> str:
    """A fragment with its own small style, in ASCII so that no page's encoding can spoil it."""
    text = HTML.render(
        table=table,
        true_minus=style.true_minus,
        header_n=style.header_n,
        number=style.number,
        extras=style.extras,
        interval=style.interval,
        answered=lambda row, column: answers.said(answers.counts(row, column)),
    )
    return text.encode("ascii", "xmlcharrefreplace").decode()
