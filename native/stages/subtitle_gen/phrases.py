"""Words that a line should not end or begin with, by language. Where a language is not listed, punctuation and names still count."""

from __future__ import annotations

# They belong to the next word: a line never ends with one.
ARTICLES = {
    "en": "a an the",
    "de": "der die das den dem des ein eine einen einem einer eines kein keine",
    "nl": "de het een",
    "sv": "en ett den det de",
    "fr": "le la les l' un une des du au aux",
    "es": "el la los las un una unos unas al del",
    "pt": "o a os as um uma uns umas do da dos das no na nos nas",
    "it": "il lo la i gli le l' un uno una del dello della dei degli delle al allo alla ai agli alle nel nella",
    "ar": "ال",
    "he": "ה",
}
# They say how many of what follows.
NUMERALS = {
    "en": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen "
    "twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half",
    "de": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig hundert tausend",
    "fr": "deux trois quatre cinq six sept huit neuf dix onze douze vingt trente cent mille",
    "es": "dos tres cuatro cinco seis siete ocho nueve diez once doce veinte treinta cien mil",
    "hi": "एक दो तीन चार पाँच पांच छह सात आठ नौ दस बीस तीस पचास सौ हज़ार हजार लाख करोड़",
}
# A phrase begins with one: a line may begin with it, and should not end with it.
LINKS = {
    "en": "and but or nor so because although though while when where if unless until since that which who whose as than "
    "in on at by for from with without of to into onto over under about after before between against through during",
    "de": "und oder aber denn weil dass wenn als ob während obwohl damit wie in im an am auf bei mit von vom zu zum zur nach aus für gegen",
    "nl": "en of maar want omdat dat als toen hoewel in op aan bij met van naar uit voor tegen door over",
    "sv": "och eller men för att om när som i på av med från till ur mot genom över under",
    "fr": "et ou mais donc car que qui quand si comme lorsque parce à de en dans sur sous avec sans pour par chez entre vers",
    "es": "y e o u pero sino que quien cuando si como porque aunque a de en con sin por para sobre entre hasta desde",
    "pt": "e ou mas que quem quando se como porque embora a de em com sem por para sobre entre até desde",
    "it": "e o ma che chi quando se come perché anche a di da in con su per tra fra verso",
    "ru": "и а но или что чтобы как когда если потому хотя где который в на с к по из за от до для о об при без под над",
    "hi": "और या लेकिन मगर कि क्योंकि अगर तो जब जहाँ जो जैसे ताकि",
    "ar": "و أو لكن أن إن إذا لأن حتى في من على إلى عن مع بين بعد قبل",
    "he": "ו או אבל כי אם ש של על אל עם בין אחרי לפני",
}
# Between two names they part nothing.
COORDINATORS = frozenset(("and", "or", "und", "oder", "en", "och", "et", "ou", "y", "e", "o", "и", "или"))
# They lean on the next word.
LEANING = {
    "en": "my your his her its our their this these those some any no every each i you he she it we they "
    "is are was were am be been has have had do does did will would can could shall should may might must not very",
    "de": "mein dein sein ihr unser euer diese dieser dieses ich du er sie es wir",
    "nl": "mijn jouw zijn haar ons onze hun deze dit die ik jij je hij zij ze wij we",
    "sv": "min din sin hans hennes vår er deras denna detta jag du han hon vi de",
    "fr": "mon ma mes ton ta tes son sa ses notre votre leur ce cet cette ces je tu il elle on nous vous ne",
    "es": "mi tu su nuestro este esta ese esa yo tú él ella no se me te nos lo",
    "pt": "meu minha teu seu sua nosso este esta esse essa eu tu ele ela não se me",
    "it": "mio mia tuo suo nostro questo questa io tu lui lei noi non si mi ti ci",
    "ru": "не ни мой моя твой его её их наш ваш этот эта это я ты он она мы вы они",
    "hi": "मैं तू तुम आप वह यह हम वे मेरा मेरी मेरे तेरा तेरी उसका उसकी उसके हमारा हमारी नहीं न मत बहुत",
}
# They lean on the word before: Hindi's postpositions and auxiliaries.
TRAILING = {
    "hi": "का के की को में से पर ने तक भी ही है हैं था थे थी थीं हूँ हूं हो रहा रही रहे गया गई गए वाला वाली वाले जी साहब",
}


def of(table: dict[str, str], language: str) -> frozenset[str]:
    """The words of `table` in `language`."""
    return frozenset(table.get(language, "").split())
