"""Chinese questions about English code: the English terms that a question's Chinese parts stand for.

The glossary, ``glossary_zh.txt``, is our own work: programming terms as they are met in identifiers and docstrings.
It is no dictionary. What it doesn't know stays as it is and finds Chinese comments only; a word has the terms that
are usual in code, whatever else it may mean; neither grammar nor word order is looked at. Traditional characters are
read as simplified ones, and the terms of Taiwan are there where they differ (檔案, 執行緒).
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from indexer.tokens import words

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")


def translated(query: str) -> str:
    """The query followed by the English terms for its Chinese parts, each once, without those it already has.

    A query without Chinese, or without a known term, is returned as it is. Translating twice changes nothing.
    """
    if query.isascii() or not _HAN.search(query):
        return query
    present = set(words(query))
    terms = dict.fromkeys(term for group in alternatives(query) for term in group)
    return " ".join([query, *(term for term in terms if term not in present)])


def alternatives(query: str) -> list[tuple[str, ...]]:
    """For each Chinese term of the query, in order, the English ones it may be called, the most usual first.

    Words that only make a question of it (哪里, 如何, 的) are left out, as is what the glossary doesn't know. A search
    that can weigh its terms gives the first of a group 1 and the others about .3: with all at 1, a rare alternative
    outweighs the usual word.
    """
    entries = _entries()
    simplified = query.translate(_SIMPLIFIED)
    pieces = (piece for run in _HAN.findall(simplified) for piece in _pieces(run))
    return [terms for piece in pieces if (terms := entries.get(piece, ()))]


def _pieces(run: str) -> list[str]:
    """A run of Chinese cut into entries: fewest characters left over first, then fewest pieces.

    So a compound with an entry of its own beats its parts, and 在线程中 is 在 线程 中 and not 在线 程 中, as the
    longest match from the left would have it. Of two equal ways, the later word is the longer one.
    """
    entries, longest = _entries(), _longest()
    best = [(0, 0, 0)]  # of each beginning of the run: characters left over, pieces, start of the last piece
    for end in range(1, len(run) + 1):
        ways = []
        for start in range(max(0, end - longest), end):
            known = run[start:end] in entries
            if known or end - start == 1:
                left_over, count, _ = best[start]
                ways.append((left_over + (not known), count + 1, start))
        best.append(min(ways))
    found, end = [], len(run)
    while end:
        start = best[end][2]
        found.append(run[start:end])
        end = start
    return found[::-1]


@cache
def _entries() -> dict[str, tuple[str, ...]]:
    """The glossary: each Chinese term with its English ones; none for the words that a search leaves out."""
    lines = files("indexer").joinpath("glossary_zh.txt").read_text("utf-8").splitlines()
    pairs = (line.partition("\t") for line in lines if line and not line.startswith("#"))
    return {chinese: tuple(english.split()) for chinese, _, english in pairs}


@cache
def _longest() -> int:
    return max(map(len, _entries()))


# Character for character, those that the glossary is written with; several traditional ones may be one simplified.
_TRADITIONAL = (
    "專東丟兩嚴個臨為舉義樂習書亂爭產僅從倉儀們眾會傳偽偵側儲關內冊寫衝決況凍淨減憑擊則剛創刪別辦務動勢勻區協單衛"
    "歷壓參雙發變疊葉號嗎啟員響喚團國圖圓場塊牆聲處備夠頭夾獎學實審寬對尋導將爾嘗盡層屬幣帳帶幀幫冪廣庫應廢開棄張"
    "彈強歸當錄徑憶態總恆惡懸懶戲戶執擴掃拋搶護報擬擁攔擇損換斂數斷無舊時顯暫術雜權條來柵標棧欄樹樣檔橋樁檢橢橫歐"
    "殘毀匯沒淺測瀏漸溫潰滾滿濾靈點爍熱狀獨環現電畫鹽監蓋盤著碼積稱穩窮競筆篩簽簡類緊糾紅約級純納縱紋線練組細終紹"
    "經綁結繪給絡絕統繼緒續維綠綴緩編縮聯膚髒腳脫節獲藍虛雖補裝見觀規視覽計訂認讓訓議記許論設訪證評識訴診詞譯試話"
    "詢該詳語誤誘說請諾讀誰調貝負責敗賬貨質貪購貼費資賦賴賽躍蹤車轉輪軟軸載較輔輯輸邊達遷過運還這進遠連遲跡選遞邏"
    "遙郵鄰釋鑑針釣鐘鑰鉤鈕鋪鏈銷鎖錯錨錦鍵鏡長閂閃閉問閏閒間閱閾隊陣階際陸險隨隱靜頁頂項順須顧頓頒預領頻題顏額顛"
    "風飢飾餅餓餾馬驅駝驗騙驟魚齊後裡裏範係衆籤複復併並製迴註佈週徵繫準採佔餘捲誌劃鬆遊乾幹麼於與隻錶臺託異離彙檯"
    "鍾閑曆沖啓羣綫爲昇據儘佇鑒祕種極聽價蟲體機優網適確觸掛幾湊勵圍礎綱螢訊譜賭陳廠擺攝構氣緯羅謂違遺銀陰魯慣滯臟"
    "薦謝謹業絲傾剝卻啞囉壯師殺畢疇稅織繞課贊鋸門飽齒説讚蹟"
)
_SIMPLE = (
    "专东丢两严个临为举义乐习书乱争产仅从仓仪们众会传伪侦侧储关内册写冲决况冻净减凭击则刚创删别办务动势匀区协单卫"
    "历压参双发变叠叶号吗启员响唤团国图圆场块墙声处备够头夹奖学实审宽对寻导将尔尝尽层属币帐带帧帮幂广库应废开弃张"
    "弹强归当录径忆态总恒恶悬懒戏户执扩扫抛抢护报拟拥拦择损换敛数断无旧时显暂术杂权条来栅标栈栏树样档桥桩检椭横欧"
    "残毁汇没浅测浏渐温溃滚满滤灵点烁热状独环现电画盐监盖盘着码积称稳穷竞笔筛签简类紧纠红约级纯纳纵纹线练组细终绍"
    "经绑结绘给络绝统继绪续维绿缀缓编缩联肤脏脚脱节获蓝虚虽补装见观规视览计订认让训议记许论设访证评识诉诊词译试话"
    "询该详语误诱说请诺读谁调贝负责败账货质贪购贴费资赋赖赛跃踪车转轮软轴载较辅辑输边达迁过运还这进远连迟迹选递逻"
    "遥邮邻释鉴针钓钟钥钩钮铺链销锁错锚锦键镜长闩闪闭问闰闲间阅阈队阵阶际陆险随隐静页顶项顺须顾顿颁预领频题颜额颠"
    "风饥饰饼饿馏马驱驼验骗骤鱼齐后里里范系众签复复并并制回注布周征系准采占余卷志划松游干干么于与只表台托异离汇台"
    "钟闲历冲启群线为升据尽伫鉴秘种极听价虫体机优网适确触挂几凑励围础纲萤讯谱赌陈厂摆摄构气纬罗谓违遗银阴鲁惯滞脏"
    "荐谢谨业丝倾剥却哑啰壮师杀毕畴税织绕课赞锯门饱齿说赞迹"
)
_SIMPLIFIED = str.maketrans(_TRADITIONAL, _SIMPLE)
